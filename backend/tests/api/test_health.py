import asyncio
import shutil
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from app import __version__
from app.config.settings import Settings
from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.database.revisions import FIRST
from testkit import samples
from testkit.asgi import OpenClient, image_of
from testkit.databases import prepare
from testkit.live import TIMEOUT
from testkit.problems import assert_problem

UPLOAD = "/api/v1/images/upload"


async def test_a_healthy_service_is_live_and_ready(client: httpx.AsyncClient) -> None:
    live, ready = [await client.get(path) for path in ("/health/live", "/health/ready")]
    assert (live.status_code, live.json()) == (200, {"status": "ok", "version": __version__})
    assert ready.status_code == 200
    assert ready.json() == {"status": "ok", "queue": {"oldest_seconds": 0}}


async def test_a_storage_folder_that_goes_missing_is_named_and_recovers(
    client: httpx.AsyncClient, settings: Settings, tmp_path: Path
) -> None:
    shutil.move(settings.data_dir / "images", tmp_path / "aside")
    response = await client.get("/health/ready")
    assert "storage" in assert_problem(response, 503, "not-ready")
    assert response.json()["down"] == ["storage"]
    assert_problem(
        await client.post(UPLOAD, files={"file": samples.jpeg()}), 503, "storage-unavailable"
    )
    assert (await client.get("/health/live")).status_code == 200
    shutil.move(tmp_path / "aside", settings.data_dir / "images")
    await until_ready(client)
    assert (await client.post(UPLOAD, files={"file": samples.jpeg()})).status_code == 201


async def test_a_service_without_its_storage_starts_and_recovers(
    open_client: OpenClient, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("a file where the folder should be")
    form = {"file": samples.jpeg()}
    async with open_client(data_dir=blocked) as client:
        assert (await client.get("/health/ready")).json()["down"] == ["storage"]
        assert (await client.post(UPLOAD, files=form)).status_code == 503
        blocked.unlink()
        assert (await client.post(UPLOAD, files=form)).status_code == 201
        await until_ready(client)


async def test_a_database_down_at_start_or_later_is_reported_and_recovers(
    open_client: OpenClient, tmp_path: Path
) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        await prepare(url)
        address = SecretStr(url.render_as_string(hide_password=False))
    async with open_client(database_url=address) as client:
        await assert_database_is_down(client)
        with embedded_postgres(folder):
            await until_ready(client)
            response = await client.post(UPLOAD, files={"file": samples.jpeg()})
            image = image_of(response)
        await assert_database_is_down(client)
        assert_problem(await client.get(image["url"]), 503, "database-unavailable")
        with embedded_postgres(folder):
            await until_ready(client)
            assert (await client.get("/api/v1/images")).json()["items"] == [image]


async def assert_database_is_down(client: httpx.AsyncClient) -> None:
    assert (await client.get("/health/live")).status_code == 200
    async with asyncio.timeout(TIMEOUT):
        while (response := await client.get("/health/ready")).is_success:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    assert_problem(response, 503, "not-ready")
    assert response.json()["down"] == ["database"]
    for response in (
        await client.get("/api/v1/images"),
        await client.post(UPLOAD, files={"file": samples.jpeg()}),
    ):
        assert_problem(response, 503, "database-unavailable")


async def until_ready(client: httpx.AsyncClient) -> None:
    async with asyncio.timeout(TIMEOUT):
        while (await client.get("/health/ready")).status_code != 200:  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def test_a_service_waits_for_a_database_unavailable_at_start(
    open_client: OpenClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.database.revisions.RETRY_SECONDS", 0.05)
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        await prepare(url)
        address = SecretStr(url.render_as_string(hide_password=False))
    async with open_client(database_url=address) as client:
        await asyncio.sleep(0.5)
        with embedded_postgres(folder):
            await until_ready(client)


async def test_a_stopping_service_no_longer_waits_for_its_database(
    open_client: OpenClient,
) -> None:
    before = asyncio.all_tasks()
    async with open_client(database_url=SecretStr("postgresql+asyncpg://127.0.0.1:1/x")):
        assert asyncio.all_tasks() > before
    assert asyncio.all_tasks() <= before


async def test_a_database_that_comes_back_unmigrated_is_reported_until_it_is_migrated(
    open_client: OpenClient,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("app.database.revisions.RETRY_SECONDS", 0.05)
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        await migrate(Database(url), print, FIRST)
        address = SecretStr(url.render_as_string(hide_password=False))
    async with open_client(database_url=address) as client:
        with embedded_postgres(folder):
            async with asyncio.timeout(TIMEOUT):
                while "make migrate" not in caplog.text:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await assert_database_is_down(client)
            await asyncio.sleep(0.2)
            assert caplog.text.count("make migrate") == 1
            await prepare(url)
            await until_ready(client)
            response = await client.post(UPLOAD, files={"file": samples.jpeg()})
            assert response.status_code == 201
