"""The backends that the contract holds for: a new one is one line here."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from testkit.storages import Put

BACKENDS: dict[str, Callable[[Path], StorageBackend]] = {
    "local": lambda folder: LocalStorage(folder / "images"),
    "memory": lambda _folder: MemoryStorage(),
}


@pytest.fixture(params=BACKENDS)
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StorageBackend]:
    backend = BACKENDS[request.param](tmp_path)
    await backend.prepare()
    yield backend
    await backend.close()


@pytest.fixture
def put(storage: StorageBackend) -> Put:
    async def put(key: str, data: bytes) -> None:
        staged = await storage.stage(key, "image/jpeg")
        await staged.write(data)
        await staged.publish()

    return put
