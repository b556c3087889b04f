"""Metadata is read from the cache; what it must not give, it does not give."""

import asyncio
from uuid import uuid4

import pytest
from pydantic import SecretStr

from app.domain.job import INVALIDATE, NewJob
from app.services import trust
from app.services.trust import MOST_PENDING, TRUST_SECONDS
from app.statements.images import delete_images
from testkit.cached_host import IMAGES, OLD, UNSEEN, CachedHost, id_of, name, until_named
from testkit.database_proxy import DatabaseProxy
from testkit.jobs import insert
from testkit.live import TIMEOUT
from testkit.logs import logging_to


async def test_metadata_comes_from_the_cache_in_every_process(host: CachedHost) -> None:
    first, second = await host.open(), await host.open()
    path = await host.upload_cached(first)
    before = (await first.get(path)).json()
    await host.rename_unseen()
    for client in (first, second):
        async with asyncio.timeout(TIMEOUT):
            while (await client.get(path)).json() != before:
                pass


async def test_the_access_log_says_whether_the_cache_had_the_row(
    host: CachedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "TRUST_SECONDS", TIMEOUT)
    host.settings = host.settings.model_copy(update={"log_format": "json"})
    client = await host.open()
    path = await host.upload_cached(client)
    with logging_to() as log:
        await client.get(path)
        host.server.ask("FLUSHALL")
        await client.get(path)
        await client.get("/health/live")
        await client.get(f"{IMAGES}/{uuid4()}")
    found = [line.get("cache") for line in log.lines if "duration_ms" in line]
    assert found == ["hit", "miss", None, "miss"]


async def test_lists_counts_and_searches_come_from_the_database(host: CachedHost) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    await host.rename_unseen()
    for query, found in {"": [UNSEEN], "?q=unseen": [UNSEEN], "?q=old": []}.items():
        items = (await client.get(f"{IMAGES}{query}")).json()["items"]
        assert [item["filename"] for item in items] == found
        assert (await client.get(f"{IMAGES}/count{query}")).json()["count"] == len(found)
    await until_named(client, path, OLD)


@pytest.mark.parametrize("value", [b"", b"\1", b"\1damaged", b"\2of another version"])
async def test_what_is_damaged_in_the_cache_is_read_from_the_database(
    host: CachedHost, value: bytes
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    [key] = host.server.ask("KEYS", "*:image:*")
    host.server.ask("SET", key, value)
    await host.rename_unseen()
    assert await name(client, path) == UNSEEN


async def test_only_the_database_says_whether_an_image_without_its_file_is_damaged_or_deleted(
    host: CachedHost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trust, "TRUST_SECONDS", TIMEOUT)
    client = await host.open()
    path = await host.upload_cached(client)
    [file] = (host.settings.data_dir / "images").glob("*/*.jpg")
    file.unlink()
    assert (await client.get(f"{path}/file")).status_code == 500
    async with host.database.write() as session:
        await delete_images(session, [id_of(path)])
    assert await name(client, path) == OLD
    assert (await client.get(f"{path}/file")).status_code == 404


async def test_with_more_rows_to_invalidate_than_are_remembered_the_cache_is_not_used(
    host: CachedHost,
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    await host.rename_unseen()
    await insert(host.database, *(NewJob(INVALIDATE, str(uuid4())) for _ in range(MOST_PENDING)))
    await asyncio.sleep(TRUST_SECONDS)
    await until_named(client, path, OLD)
    await insert(host.database, NewJob(INVALIDATE, str(uuid4())))
    await until_named(client, path, UNSEEN)


async def test_without_answers_of_the_database_the_cache_is_used_for_a_short_time_only(
    host: CachedHost, proxy: DatabaseProxy
) -> None:
    """Nothing else says which rows another process has changed without reaching the cache."""
    database_url = SecretStr(proxy.url.render_as_string(hide_password=False))
    client = await host.open(database_url=database_url)
    path = await host.upload_cached(client)
    await host.rename_unseen()
    await until_named(client, path, OLD)
    proxy.hold()
    await asyncio.sleep(TRUST_SECONDS)
    reading = asyncio.create_task(client.get(path))
    assert not (await asyncio.wait([reading], timeout=0.3))[0]
    proxy.release()
    assert (await reading).json()["filename"] == UNSEEN
