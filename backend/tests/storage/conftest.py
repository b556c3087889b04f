"""The backends that the contract holds for: a new one is one line here."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from app.observability.metrics.observer import MetricsObserver
from app.observability.observer import Observer
from app.storage.abilities import Moving
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from app.storage.measured import measured
from app.storage.memory import MemoryStorage
from app.storage.moving import MovingStorage
from testkit.programs import needs_ceph
from testkit.storages import Put, storage_over


def _observer() -> Observer:
    return MetricsObserver(CollectorRegistry())


BACKENDS: dict[str, Callable[[Path, Callable[[str], Any]], StorageBackend]] = {
    "local": lambda folder, _fixture: LocalStorage(folder / "images"),
    "memory": lambda _folder, _fixture: MemoryStorage(),
    "s3": lambda _folder, fixture: storage_over(fixture("ceph"), fixture("bucket")),
    "moving": lambda folder, fixture: MovingStorage(
        storage_over(fixture("ceph"), fixture("bucket")), LocalStorage(folder / "images")
    ),
    "moving to a folder": lambda folder, fixture: MovingStorage(
        LocalStorage(folder / "images"), storage_over(fixture("ceph"), fixture("bucket"))
    ),
    "local, measured": lambda folder, _fixture: measured(
        LocalStorage(folder / "images"), "local", _observer()
    ),
    "s3, measured": lambda _folder, fixture: measured(
        storage_over(fixture("ceph"), fixture("bucket")), "s3", _observer()
    ),
    "moving, both measured": lambda folder, fixture: MovingStorage(
        measured(storage_over(fixture("ceph"), fixture("bucket")), "s3", _observer()),
        measured(LocalStorage(folder / "images"), "local", _observer()),
    ),
}
_MARKS = {name: needs_ceph for name in BACKENDS if "local" not in name and name != "memory"}


@pytest.fixture(params=[pytest.param(name, marks=_MARKS.get(name, ())) for name in BACKENDS])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[StorageBackend]:
    backend = BACKENDS[request.param](tmp_path, request.getfixturevalue)
    if isinstance(backend, Moving):
        await backend.source.prepare()
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
