"""A database that refuses the login: said as such, in one line, and no secret with it."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.database.embedded import embedded_postgres
from testkit.databases import execute, prepare
from testkit.host import hosting
from testkit.live import wait_until
from testkit.pgbouncer import pooled
from testkit.problems import assert_problem
from testkit.programs import needs_pgbouncer
from testkit.service import refused_start
from testkit.settings import make_settings

PASSWORD = "r1ght"
WRONG = "wr0ng"
COMMANDS = ["", "migrate", "fsck", "backfill-dimensions"]


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[URL]:
    """Run a database that asks one user for a password; give that user's address."""
    folder = tmp_path_factory.mktemp("locked") / "postgres"
    with embedded_postgres(folder) as url:
        asyncio.run(prepare(url))
        asyncio.run(execute(url, f"CREATE ROLE images SUPERUSER LOGIN PASSWORD '{PASSWORD}'"))
        rules = folder / "pg_hba.conf"
        rules.write_text(f"local all images scram-sha-256\n{rules.read_text()}")
        asyncio.run(execute(url, "SELECT pg_reload_conf()"))
        yield url.set(username="images", password=PASSWORD)


def refusal(url: URL, command: str, data_dir: Path) -> str:
    """Run a command that ends with one line, in which there is no password; return that."""
    line = refused_start(url, data_dir, "-m", "app", *command.split())
    assert PASSWORD not in line
    assert WRONG not in line
    return line


@pytest.mark.parametrize("command", COMMANDS)
def test_a_wrong_password_is_reported(locked: URL, command: str, tmp_path: Path) -> None:
    line = refusal(locked.set(password=WRONG), command, tmp_path)
    assert "The database refused the password of user images." in line


def test_a_missing_password_is_reported(locked: URL, tmp_path: Path) -> None:
    line = refusal(locked.set(password=""), "", tmp_path)
    assert line == "The database refused the password of user images.\n"


@needs_pgbouncer
def test_a_wrong_password_is_reported_through_a_pooler(locked: URL, tmp_path: Path) -> None:
    with pooled(locked, password=PASSWORD) as pool:
        line = refusal(pool.set(password=WRONG), "", tmp_path)
    assert line == "The database refused the password of user images.\n"


def test_an_unknown_role_or_database_is_reported(locked: URL, tmp_path: Path) -> None:
    for url, words in {
        locked.set(username="nobody", password=""): 'role "nobody" does not exist',
        locked.set(database="nothing"): 'database "nothing" does not exist',
        locked.update_query_dict(
            {"options": "-c nothing=1"}
        ): 'unrecognized configuration parameter "nothing"',
    }.items():
        line = refusal(url, "", tmp_path)
        assert line == f"The database refused the connection: {words}.\n"


def test_a_password_changed_while_the_service_runs_costs_503_until_it_is_right_again(
    locked: URL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever changes it in two places changes it in one of them first."""
    wrong = make_settings(locked.set(password=WRONG), tmp_path)
    with hosting(wrong, locked) as host:
        assert_problem(host.client.get("/api/v1/images"), 503, "database-unavailable")
        assert "waiting for the database: The database refused the password" in caplog.text
        assert WRONG not in caplog.text
        asyncio.run(execute(locked, f"ALTER ROLE images PASSWORD '{WRONG}'"))
        try:
            wait_until(lambda: host.client.get("/api/v1/images").status_code == 200)
        finally:
            right = locked.set(password=WRONG)
            asyncio.run(execute(right, f"ALTER ROLE images PASSWORD '{PASSWORD}'"))
