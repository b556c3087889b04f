"""PgBouncer in front of the database: everything works through it, and leaves nothing behind."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import asyncpg
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.database.revisions import FIRST, HEAD
from testkit import samples
from testkit.databases import execute
from testkit.host import hosting
from testkit.live import TIMEOUT
from testkit.pgbouncer import pooled
from testkit.programs import needs_pgbouncer
from testkit.schema import copy_lean_files, load_lean
from testkit.settings import make_settings

pytestmark = needs_pgbouncer

BACKEND = Path(__file__).parents[2]
JPEG = samples.jpeg()
SERVERS = 3
"""Fewer than there are clients, so that a client's next statement often meets another server."""


@pytest.fixture
def lean(postgres_url: URL) -> Iterator[URL]:
    """Give the database of the last version without migrations, with its rows."""
    name = f"pooled_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_url, f"CREATE DATABASE {name}"))
    url = postgres_url.set(database=name)
    asyncio.run(load_lean(url))
    yield url
    asyncio.run(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(params=["transaction", "session"])
def pool(request: pytest.FixtureRequest, lean: URL) -> Iterator[URL]:
    """Give the address of that database through PgBouncer."""
    servers = SERVERS if request.param == "transaction" else 20
    with pooled(lean, request.param, servers=servers) as url:
        yield url


def app(url: URL, command: str, *arguments: str, data: Path | None = None) -> subprocess.Popen[str]:
    """Start a command of the service."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    settings = {"DATABASE_URL": address, "DATA_DIR": str(data or BACKEND), "PORT": "0"}
    return subprocess.Popen(  # noqa: S603 - our own arguments
        [sys.executable, "-u", "-m", "app", *command.split(), *arguments],
        cwd=BACKEND,
        env=os.environ | settings | {"WORKER_PROCESSES": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@contextmanager
def running(process: subprocess.Popen[str]) -> Iterator[subprocess.Popen[str]]:
    with process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_line(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdout
    assert any(written.rstrip() == line for written in process.stdout), line


def output_of(process: subprocess.Popen[str]) -> str:
    with running(process):
        return process.communicate(timeout=2 * TIMEOUT)[0]


def left_behind(pool: URL) -> Counter[str]:
    """Count what sessions have left in the servers of a pooler, by looking at all of them."""

    async def look() -> Counter[str]:
        address = pool.set(drivername="postgresql").render_as_string(hide_password=False)
        clients = [await asyncpg.connect(address, statement_cache_size=0) for _ in range(SERVERS)]
        found = Counter[str]()
        transactions = [client.transaction() for client in clients]
        for transaction in transactions:  # each holds a server of its own
            await transaction.start()
        for client in clients:
            found["servers"] += 1
            for query in (
                "SELECT 'statement ' || statement FROM pg_prepared_statements",
                "SELECT 'setting ' || name FROM pg_settings WHERE source = 'session'",
                "SELECT 'lock' FROM pg_locks WHERE locktype = 'advisory'",
            ):
                found.update(row[0] for row in await client.fetch(query))
        for client in clients:
            await client.close()
        # PgBouncer sets it for each client, and says so to the next.
        del found["setting client_encoding"]
        return found

    return asyncio.run(look())


def test_the_service_works_through_a_pooler(database_url: URL, tmp_path: Path) -> None:
    with (
        pooled(database_url, servers=SERVERS) as pool,
        hosting(make_settings(pool, tmp_path / "data"), database_url) as host,
        ThreadPoolExecutor(8) as users,
    ):
        statuses = Counter[int]()

        def use(_: int) -> None:
            image = host.upload(JPEG)
            statuses[image.status_code] += 1
            address = f"/api/v1/images/{image.json()['id']}"
            for path in ("/api/v1/images", address, f"{address}/file"):
                statuses[host.client.get(path).status_code] += 1
            statuses[host.delete(image.json()["id"]).status_code] += 1

        list(users.map(use, range(80)))
        assert statuses == {201: 80, 200: 240, 204: 80}
        assert host.client.get("/health/ready").status_code == 200
        assert left_behind(pool) == {"servers": SERVERS}
        host.assert_keeps(rows=0, files=0)


def test_a_quota_is_exact_through_a_pooler(database_url: URL, tmp_path: Path) -> None:
    settings = {"uploads_per_hour_per_ip": 5}
    with (
        pooled(database_url, servers=SERVERS) as pool,
        hosting(make_settings(pool, tmp_path / "data", **settings), database_url) as host,
        ThreadPoolExecutor(8) as users,
    ):
        answers = users.map(host.upload, [JPEG] * 20)
        assert Counter(answer.status_code for answer in answers) == {201: 5, 429: 15}
        assert left_behind(pool) == {"servers": SERVERS}


def test_a_schema_is_upgraded_and_downgraded_through_a_pooler(pool: URL) -> None:
    for target in (HEAD, FIRST, HEAD):
        output = output_of(app(pool, "migrate", "--to", target))
        assert output.endswith(f"The schema of the database is at {target}.\n")
    assert left_behind(pool) == {"servers": SERVERS}


def test_processes_that_migrate_at_once_do_so_one_after_the_other_through_a_pooler(
    pool: URL,
) -> None:
    processes = [app(pool, "migrate") for _ in range(3)]
    outputs = [output_of(process) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sum("Migrating the database" in output for output in outputs) == 1, outputs
    assert left_behind(pool) == {"servers": SERVERS}


def test_a_process_that_waits_for_a_killed_migration_completes_it(pool: URL, lean: URL) -> None:
    with asyncio.Runner() as runner, ExitStack() as opened:
        backup = Database(lean).maintain()
        connection = runner.run(backup.__aenter__())
        runner.run(connection.execute(text("SELECT FROM images")))
        first = opened.enter_context(running(app(pool, "migrate")))
        wait_for_line(first, "Waiting for a transaction that locks the tables")
        second = opened.enter_context(running(app(pool, "migrate")))
        wait_for_line(second, "Waiting for another process that is migrating")
        first.kill()
        runner.run(backup.__aexit__(None, None, None))
        assert output_of(second).endswith(f"The schema of the database is at {HEAD}.\n")


def test_fsck_and_backfill_work_through_a_pooler(
    pool: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("THUMBNAIL_SIZES", "none")
    copy_lean_files(tmp_path)
    output_of(app(pool, "migrate"))
    with hosting(make_settings(pool, tmp_path), pool):  # makes the folders that are still missing
        pass
    measured = output_of(app(pool, "backfill", data=tmp_path))
    assert "4 images: 3 filled in, 1 with no size" in measured
    checked = output_of(app(pool, "fsck", data=tmp_path))
    assert checked.endswith("4 images compared: no findings\n")
    assert left_behind(pool) == {"servers": SERVERS}


@pytest.mark.parametrize("command", ["", "migrate", "fsck", "backfill-dimensions"])
def test_a_pooler_without_transactions_is_refused_in_one_line(
    lean: URL, command: str, tmp_path: Path
) -> None:
    with pooled(lean, "statement") as url:
        process = app(url, command, data=tmp_path)
        output = output_of(process)
    assert process.returncode in {1, 2}
    assert output.count("\n") == 1
    assert "transaction blocks not allowed in statement pooling mode" in output
