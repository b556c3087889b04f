"""A start on a database that is empty, older or newer; `make migrate` as people type it."""

import asyncio
import secrets
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from app.database.embedded import embedded_postgres
from app.database.revisions import HEAD
from testkit.databases import execute
from testkit.live import TIMEOUT
from testkit.schema import LEAN_IMAGES, copy_lean_files, lean_file, load_lean, migrate_further
from testkit.service import START_SECONDS, Service, StartService, listed_ids, make, upload


@pytest.fixture
def empty(postgres_url: URL) -> Iterator[URL]:
    name = f"migrated_{secrets.token_hex(6)}"
    asyncio.run(execute(postgres_url, f"CREATE DATABASE {name}"))
    yield postgres_url.set(database=name)
    asyncio.run(execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)"))


def setting(url: URL) -> str:
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    return f"DATABASE_URL={address}"


def assert_refuses(service: Service, line: str) -> None:
    """Check that it ends with one line that says what to do, and nothing else."""
    assert service.process.wait(TIMEOUT) != 0
    said = [text for text in service.output.splitlines() if not text.startswith("make: ***")]
    assert len(said) == 1, service.output
    assert line in said[0]


def assert_serves_lean_images(service: Service) -> None:
    assert listed_ids(service) == list(reversed(LEAN_IMAGES))
    for image_id in LEAN_IMAGES:
        response = httpx.get(f"{service.url}/api/v1/images/{image_id}/file")
        assert response.content == lean_file(image_id)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_service_on_an_empty_database_refuses_to_start_until_it_is_migrated(
    start: StartService, project: Path, empty: URL, workers: int
) -> None:
    settings = (setting(empty), f"WORKERS={workers}")
    assert_refuses(start(*settings), "run `make migrate`")
    run = make(project, "migrate", setting(empty))
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        f"Migrating the database from nothing to {HEAD}",
        f"The schema of the database is at {HEAD}.",
    ]
    upload(start(*settings).wait_until_it_serves())


def test_a_service_on_a_legacy_database_refuses_to_start_until_it_is_migrated(
    start: StartService, project: Path, empty: URL
) -> None:
    asyncio.run(load_lean(empty))
    copy_lean_files(project / "data")
    assert_refuses(start(setting(empty)), "run `make migrate`")
    assert make(project, "migrate", setting(empty)).returncode == 0
    assert_serves_lean_images(start(setting(empty)).wait_until_it_serves())


def test_a_service_on_a_database_of_a_later_version_refuses_to_start(
    start: StartService, project: Path, empty: URL
) -> None:
    make(project, "migrate", setting(empty))
    asyncio.run(migrate_further(empty, "9999", compatible_from="9998"))
    assert_refuses(start(setting(empty)), "is at 9999, and this version knows none after")
    run = make(project, "migrate", setting(empty))
    assert run.returncode != 0
    assert run.stderr.startswith("Not migrated: The schema of the database is at 9999")


@pytest.mark.parametrize("workers", [1, 2])
def test_make_run_migrates_its_embedded_database_by_itself(
    start: StartService, project: Path, workers: int
) -> None:
    with embedded_postgres(project / "data/postgres") as url:
        asyncio.run(load_lean(url))
    copy_lean_files(project / "data")
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    assert service.output.count("Migrating the database from 0001 to") == 1
    assert_serves_lean_images(service)
    upload(service)
    service.stop()
    service = start().wait_until_it_serves()
    assert len(listed_ids(service)) == 1 + len(LEAN_IMAGES)
    assert "Migrating" not in service.output


def test_the_embedded_database_of_a_later_version_is_refused(
    start: StartService, project: Path
) -> None:
    service = start().wait_until_it_serves()
    upload(service)
    service.stop()
    with embedded_postgres(project / "data/postgres") as url:
        asyncio.run(migrate_further(url, "9999", compatible_from="9998"))
    service = start()
    assert service.process.wait(START_SECONDS) != 0
    assert "The schema of the database is at 9999" in service.output
    assert "Traceback" not in service.output


def test_a_database_that_cannot_be_migrated_is_reported_with_the_cause(project: Path) -> None:
    run = make(project, "migrate")
    assert run.returncode != 0
    assert run.stderr.startswith("Not migrated: There is no embedded database in /")
    run = make(project, "migrate", "DATABASE_URL=postgresql://127.0.0.1:1/nothing")
    assert run.returncode != 0
    assert run.stderr.startswith("Not migrated: The database is not available")
    assert "Connect call failed" in run.stderr
    assert "Traceback" not in run.stderr


def test_downgrade_restores_the_previous_schema(project: Path, empty: URL) -> None:
    make(project, "migrate", setting(empty))
    run = make(project, "migrate", setting(empty), "ARGS=--to 0001")
    assert run.stdout.endswith("The schema of the database is at 0001.\n")
    assert make(project, "migrate", setting(empty), "ARGS=--to 7").returncode != 0
