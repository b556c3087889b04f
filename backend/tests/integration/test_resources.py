"""What the application works with is closed in order, and not before its work is done."""

import asyncio
from contextlib import AsyncExitStack
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.config.settings import Settings
from app.database.engine import Database
from app.services.use_cases import Services
from testkit import samples
from testkit.asgi import open_client
from testkit.live import StoredFiles, until
from testkit.uploads import row_keys

UPLOAD = "/api/v1/images/upload"
WAITING = "SELECT count(*) FROM pg_locks WHERE relation = 'images'::regclass AND NOT granted"


async def test_the_row_of_a_cancelled_upload_is_inserted_before_the_database_closes(
    settings: Settings, database: Database, stored_files: StoredFiles
) -> None:
    opened = AsyncExitStack()
    client = await opened.enter_async_context(open_client(settings))
    async with database.write() as session:
        await session.execute(text("LOCK TABLE images IN ACCESS EXCLUSIVE MODE"))
        upload = asyncio.create_task(client.post(UPLOAD, files={"file": samples.jpeg()}))
        while not await session.scalar(text(WAITING)):  # noqa: ASYNC110 - nothing sets an event
            await asyncio.sleep(0.01)
        upload.cancel()
        await until(upload.done)
        closing = asyncio.create_task(opened.aclose())
        await asyncio.sleep(0.2)
        assert not closing.done()
    await closing
    assert await row_keys(database) == [file.name for file in stored_files()] != []


async def test_a_lookup_in_progress_gives_its_connection_back_when_the_services_close(
    services: Services, database: Database
) -> None:
    pool = database._engine.pool
    async with database.write() as session:
        await session.execute(text("LOCK TABLE images"))
        lookup = asyncio.create_task(services.images.get(uuid4()))
        await until(lambda: pool.checkedout() == 2)  # type: ignore[attr-defined]
        await services.close()
        assert pool.checkedout() == 1  # type: ignore[attr-defined]
    with pytest.raises(asyncio.CancelledError):
        await lookup
