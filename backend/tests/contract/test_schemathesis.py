"""The service and its OpenAPI document agree, whatever schemathesis thinks of.

All its checks and phases run: examples, coverage, fuzzing with good and bad data, and chains of
calls along the document's links.
"""

import asyncio
import os
import random
import re
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import asyncpg
import httpx
import pytest
from sqlalchemy.engine import URL

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.actor import Access, Scope
from app.domain.user import UserRole
from testkit.keys import make_key
from testkit.live import LiveServer, serve, wait_until
from testkit.renditions import rendering_all

BACKEND = Path(__file__).parents[2]


FAILURES_ALLOWED = """
[checks.not_a_server_error]
expected-statuses = ["2xx", "3xx", "4xx", 503, 507]
[checks.positive_data_acceptance]
expected-statuses = ["2xx", "401", "404", "409", 503, 507]
[checks.negative_data_rejection]
expected-statuses = ["4xx", 503, 507]
"""


EXCEPTIONS = """
# In chains of calls some good data is taken for bad ("Invalid component: positive test case").
[phases.stateful.checks.negative_data_rejection]
enabled = false

# The same where chance makes a form and its Idempotency-Key at once; the coverage phase makes one
# of them bad at a time.
[[operations]]
include-name = "POST /api/v1/images/upload"
phases.fuzzing.checks.negative_data_rejection.enabled = false

[[operations]]
include-name = "POST /api/v1/images/batch"
phases.fuzzing.checks.negative_data_rejection.enabled = false

# A wrong delete token is answered as an image that there is not.
[[operations]]
include-name = "DELETE /api/v1/images/{image_id}"
checks.ignored_auth.enabled = false

# Its answer has the address of a call, which would be taken for that of an image.
[[operations]]
include-name = "GET /api/v1/clients/sharex.sxcu"
phases.stateful.enabled = false
"""


@pytest.mark.parametrize("access", [Access.OPEN, Access.KEYS])
async def test_no_call_violates_the_document(
    settings: Settings,
    database: Database,
    tmp_path: Path,
    access: Access,
) -> None:
    """Where keys are needed, with that of an administrator, and without any: `ignored_auth`."""
    app = create_app(settings.model_copy(update={"access": access}))
    (tmp_path / "schemathesis.toml").write_text(EXCEPTIONS)
    header = "X-Nothing: nothing"
    if access is Access.KEYS:
        holder = await make_key(database, *Scope, role=UserRole.ADMIN)
        header = f"Authorization: Bearer {holder.key}"
    with serve(app) as server, rendering_all(settings):
        report = schemathesis(server, tmp_path, "--max-examples", "25", "--header", header)
        assert f"Tested: {count_calls(server)}" in report
    for phase in ("Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ {phase}$", report, re.MULTILINE), report


def test_failures_of_database_and_storage_are_only_the_documented_ones(
    settings: Settings, database_url: URL, tmp_path: Path
) -> None:
    (tmp_path / "schemathesis.toml").write_text(FAILURES_ALLOWED + EXCEPTIONS)
    with serve(create_app(settings)) as server:
        wait_until(lambda: httpx.get(f"{server.url}/health/ready").is_success)
        with rendering_all(settings), failing_at_random(settings, database_url) as failures:
            report = schemathesis(server, tmp_path, "--max-examples", "60")
        calls = count_calls(server)
        wait_until(lambda: httpx.get(f"{server.url}/health/ready").is_success)
    assert f"Tested: {calls}" in report
    assert failures["database"] > 0
    assert failures["storage"] > 0


@contextmanager
def failing_at_random(settings: Settings, database_url: URL) -> Iterator[Counter[str]]:
    """End every database connection, or move the folder of images aside, again and again."""
    chance = random.Random(7)  # noqa: S311 - for variety
    failures = Counter[str]()
    stop = threading.Event()
    images, aside = settings.data_dir / "images", settings.data_dir / "aside"

    async def fail() -> None:
        connection = await asyncpg.connect(
            user=database_url.username,
            password=database_url.password,
            host=database_url.host or str(database_url.query["host"]),
            port=database_url.port,
            database="postgres",
        )
        while not stop.is_set():
            await asyncio.sleep(chance.uniform(0.02, 0.2))
            if chance.random() < 0.5:
                failures["database"] += 1
                await connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1",
                    database_url.database,
                )
            else:
                failures["storage"] += 1
                images.rename(aside)
                await asyncio.sleep(chance.uniform(0.02, 0.1))
                aside.rename(images)
        await connection.close()

    thread = threading.Thread(target=asyncio.run, args=(fail(),))
    thread.start()
    try:
        yield failures
    finally:
        stop.set()
        thread.join()


def count_calls(server: LiveServer) -> int:
    """Return how many calls the document has."""
    return sum(map(len, httpx.get(f"{server.url}/openapi.json").json()["paths"].values()))


def schemathesis(server: LiveServer, folder: Path, *options: str) -> str:
    """Run it with all its checks; fail if it finds anything."""
    run = subprocess.run(  # noqa: S603 - our own arguments
        [
            *(sys.executable, "-m", "schemathesis.cli", "run", f"{server.url}/openapi.json"),
            *("--mode", "all", "--no-color", "--request-timeout", "60"),
            *options,
        ],
        cwd=folder,
        env=os.environ
        | {"PYTHONPATH": str(BACKEND), "SCHEMATHESIS_HOOKS": "testkit.schemathesis_hooks"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout
