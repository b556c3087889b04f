"""No change is answered before the cache has stopped giving the row as it was (ADR 50)."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from app.cache.redis import FENCE_SECONDS, RedisCache
from app.domain.errors import CacheUnavailable
from app.domain.job import INVALIDATE, NewJob
from app.imaging.rendering.protocol import RenderLimits
from app.imaging.rendering.renderer import Renderer
from app.services.backfill import Backfill
from app.services.changes import SECONDS_AFTER, SECONDS_BEFORE, WAIT_SECONDS, Changes
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import Finding, Kind
from app.services.rendering import Rendering
from app.services.trust import TRUST_SECONDS
from app.statements.jobs import insert_jobs
from app.storage.local.backend import LocalStorage
from testkit.cached_host import (
    IMAGES,
    NEW,
    OLD,
    CachedHost,
    assert_changed,
    id_of,
    name,
    until_named,
)
from testkit.database_proxy import DatabaseProxy
from testkit.databases import until_a_statement_waits_for_a_lock
from testkit.jobs import insert
from testkit.live import TIMEOUT
from testkit.uploads import execute

NO_IMAGE = "00000000-0000-0000-0000-000000000000"

Change = Callable[[httpx.AsyncClient, str], Coroutine[None, None, httpx.Response]]


async def delete(client: httpx.AsyncClient, path: str) -> httpx.Response:
    return await client.delete(path)


async def delete_in_batch(client: httpx.AsyncClient, path: str) -> httpx.Response:
    return await client.post(f"{IMAGES}/batch-delete", json={"ids": [str(id_of(path))]})


async def rename(client: httpx.AsyncClient, path: str) -> httpx.Response:
    return await client.patch(path, json={"filename": NEW})


async def make_private(client: httpx.AsyncClient, path: str) -> httpx.Response:
    return await client.patch(path, json={"filename": NEW, "is_public": False})


changes = pytest.mark.parametrize("change", [delete, delete_in_batch, rename, make_private])


def test_nothing_is_filled_in_for_longer_than_a_reader_may_take() -> None:
    assert FENCE_SECONDS < SECONDS_AFTER < SECONDS_BEFORE
    assert TRUST_SECONDS < WAIT_SECONDS


@changes
async def test_after_the_answer_no_process_gives_the_old_row(
    host: CachedHost, change: Change
) -> None:
    first, second = await host.open(), await host.open()
    path = await host.upload_cached(first)
    await until_named(second, path, OLD)
    assert (await change(first, path)).is_success
    await assert_changed(first, second, path=path)
    assert await host.pending() == []


@changes
async def test_a_reader_that_began_before_the_change_does_not_put_the_old_row_back(
    host: CachedHost, change: Change
) -> None:
    """Its command reaches the cache after the answer, when it itself no longer waits for it."""
    writer, reader = await host.open(), await host.open(relayed=True)
    path = await host.upload(writer)
    await host.hold_fill(reader, path)
    assert (await change(writer, path)).is_success
    await host.release_fill()
    assert not host.has(path)
    await assert_changed(writer, reader, path=path)


async def test_nor_does_it_after_a_flush(host: CachedHost) -> None:
    writer, reader = await host.open(), await host.open(relayed=True)
    path = await host.upload(writer)
    await host.hold_fill(reader, path)
    assert (await rename(writer, path)).is_success
    host.server.ask("FLUSHALL")
    await host.release_fill()
    assert not host.has(path)
    await assert_changed(writer, reader, path=path)


@changes
async def test_what_is_filled_during_the_transaction_is_gone_after_it(
    host: CachedHost, change: Change
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    async with host.database.write() as session:
        await session.execute(text("SELECT FROM images FOR UPDATE"))
        changing = asyncio.create_task(change(client, path))
        await until_a_statement_waits_for_a_lock(host.database)
        host.server.ask("FLUSHALL")
        async with asyncio.timeout(TIMEOUT):
            while not host.has(path):
                assert await name(client, path) == OLD
    assert (await changing).is_success
    await assert_changed(client, path=path)


@changes
async def test_a_process_without_the_cache_changes_rows_that_others_read_from_it(
    host: CachedHost, change: Change
) -> None:
    reader, cut_off = await host.open(), await host.open(relayed=True)
    path = await host.upload_cached(reader)
    assert host.relay
    host.relay.is_broken = True
    host.relay.cut()
    assert (await change(cut_off, path)).is_success
    await assert_changed(reader, path=path)
    assert host.has(path)  # as it was
    assert await host.pending() == [path]
    await host.invalidate_pending()
    assert not host.has(path)
    await asyncio.sleep(WAIT_SECONDS)  # the process knows now that nothing is pending
    await assert_changed(reader, path=path)


@changes
async def test_a_cache_that_hung_during_a_change_gives_no_old_row_when_it_goes_on(
    host: CachedHost, change: Change
) -> None:
    first, second = await host.open(), await host.open()
    path = await host.upload_cached(first)
    await until_named(second, path, OLD)
    with host.server.stopped():
        assert (await change(first, path)).is_success
    for _ in range(10):
        await assert_changed(first, second, path=path)
        await asyncio.sleep(0.1)
    await host.invalidate_pending()
    await assert_changed(first, second, path=path)


async def test_a_cache_that_starts_again_from_a_snapshot_gives_no_old_row(host: CachedHost) -> None:
    first = await host.open()
    path = await host.upload_cached(first)
    host.server.ask("SAVE")
    assert (await rename(first, path)).is_success
    host.server.kill()
    host.server.start()
    assert host.has(path)  # as it was, under a key of the server that was killed
    second = await host.open()
    for _ in range(10):
        await assert_changed(first, second, path=path)
        await asyncio.sleep(0.2)


async def test_a_change_while_the_cache_is_down_is_made_up_for_when_it_is_there_again(
    host: CachedHost,
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    host.server.ask("SAVE")
    host.server.kill()
    assert (await rename(client, path)).is_success
    await assert_changed(client, path=path)
    assert await host.pending() == [path]
    host.server.start()
    await host.invalidate_pending()
    await assert_changed(client, path=path)


@asynccontextmanager
async def waiting_change(
    host: CachedHost, client: httpx.AsyncClient, path: str
) -> AsyncIterator[asyncio.Task[httpx.Response]]:
    """Keep the transaction of a change waiting during the block."""
    async with host.database.write() as session:
        await session.execute(text("SELECT FROM images FOR UPDATE"))
        changing = asyncio.create_task(rename(client, path))
        await until_a_statement_waits_for_a_lock(host.database)
        yield changing


async def test_a_change_during_which_the_cache_fails_leaves_a_job(host: CachedHost) -> None:
    reader, writer = await host.open(), await host.open(relayed=True)
    path = await host.upload(reader)
    assert host.relay
    async with waiting_change(host, writer, path) as changing:
        host.relay.is_broken = True
        host.relay.cut()
    assert (await changing).is_success
    assert await host.pending() == [path]
    await assert_changed(reader, path=path)


async def test_a_change_whose_job_cannot_be_inserted_is_not_acknowledged(
    host: CachedHost, proxy: DatabaseProxy
) -> None:
    database_url = SecretStr(proxy.url.render_as_string(hide_password=False))
    client = await host.open(relayed=True, database_url=database_url)
    path = await host.upload(client)
    assert host.relay
    async with waiting_change(host, client, path) as changing:
        host.relay.is_broken = True
        host.relay.cut()
        proxy.cut("\n    INSERT INTO procrastinate_jobs", "before")
    assert (await changing).status_code == 503
    assert proxy.cuts == 1
    assert await host.pending() == []
    assert await name(client, path) == NEW


@pytest.fixture
async def cache(host: CachedHost) -> AsyncIterator[RedisCache]:
    """Yield the cache as a worker or a command uses it."""
    cache = RedisCache(host.server.url, 300)
    yield cache
    await cache.close()


@pytest.fixture
async def storage(host: CachedHost) -> AsyncIterator[LocalStorage]:
    storage = LocalStorage(host.settings.data_dir / "images")
    yield storage
    await storage.close()


async def test_one_job_makes_up_for_a_long_outage_and_keeps_what_is_changed_again(
    host: CachedHost, cache: RedisCache
) -> None:
    client = await host.open()
    paths = [await host.upload_cached(client) for _ in range(3)]
    jobs = [NewJob(INVALIDATE, str(id_of(path))) for path in paths]
    await insert(host.database, *jobs)
    async with host.database.write() as session:
        await insert_jobs(session, jobs[2:])
        await Changes(host.database, cache).invalidate(uuid4())
    assert [host.has(path) for path in paths] == [False, False, True]
    assert await host.pending() == paths[2:]


async def test_a_job_that_does_not_reach_the_cache_keeps_all_jobs(
    host: CachedHost, cache: RedisCache
) -> None:
    await insert(host.database, NewJob(INVALIDATE, NO_IMAGE))
    await cache.invalidate([], 0)
    with host.server.stopped(), pytest.raises(CacheUnavailable):
        await Changes(host.database, cache).invalidate(uuid4())
    assert await host.pending() == [f"{IMAGES}/{NO_IMAGE}"]


async def test_what_a_job_has_rendered_is_in_the_next_answer(
    host: CachedHost, storage: LocalStorage, cache: RedisCache
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    assert (await client.get(path)).json()["placeholder"] is None
    renderer = Renderer(RenderLimits(512, int(TIMEOUT), 1_000_000), [150])
    await Rendering(host.database, storage, renderer, cache).render(id_of(path))
    await renderer.close()
    image = (await client.get(path)).json()
    assert (image["placeholder"] is None, image["metadata"]) == (False, {})


async def test_what_a_backfill_has_filled_in_is_in_the_next_answer(
    host: CachedHost, storage: LocalStorage, cache: RedisCache
) -> None:
    client = await host.open()
    paths = [await host.upload(client) for _ in range(3)]
    await execute(host.database, "UPDATE images SET width = NULL, checksum = NULL")
    await host.until_cached(client, *paths)
    await Backfill(host.database, storage, cache).run(lambda *_: None)
    for path in paths:
        image = (await client.get(path)).json()
        assert image["width"] == 200
        assert image["checksum"].startswith("sha256:")


async def test_a_row_that_fsck_has_removed_is_not_there_in_the_next_answer(
    host: CachedHost, storage: LocalStorage, cache: RedisCache
) -> None:
    client = await host.open()
    path = await host.upload_cached(client)
    key = f"{id_of(path).hex}.jpg"
    await storage.delete(key)
    check = ConsistencyCheck(host.database, storage, timedelta(0), cache=cache)
    finding = Finding(Kind.ROW_WITHOUT_FILE, key, 0)
    assert await check.repair(finding, delete_broken_rows=True)
    assert (await client.get(path)).status_code == 404
