"""What is observed of a storage backend. That it works as before is in the contract."""

import errno
import os
import shutil
from pathlib import Path
from typing import Final
from uuid import uuid4

import pytest
from prometheus_client import CollectorRegistry

from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.observability.metrics.observer import MetricsObserver
from app.observability.reasons import reason
from app.storage import abilities
from app.storage.abilities import FileBacked
from app.storage.base import StorageBackend
from app.storage.local.backend import LocalStorage
from app.storage.measured import MeasuredStorage
from app.storage.memory import MemoryStorage
from testkit.storages import put, read_all

KEY: Final = "0123456789abcdef0123456789abcdef.jpg"
OTHER_KEY: Final = "fedcba9876543210fedcba9876543210.jpg"
LARGE: Final = bytes(3_000_000)
ABILITIES: Final = [
    protocol
    for protocol in vars(abilities).values()
    if getattr(protocol, "_is_runtime_protocol", False)
]


class Measurement:
    """A backend under measurement, and what is found."""

    def __init__(self, storage: StorageBackend) -> None:
        self._registry = CollectorRegistry()
        self.storage = MeasuredStorage(storage, "local", MetricsObserver(self._registry))

    def operations(self) -> dict[str, int]:
        """Return how many operations there were, of each that there was."""
        return {
            sample.labels["operation"]: int(sample.value)
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == "image_host_storage_operation_duration_seconds_count"
        }

    def errors(self) -> dict[tuple[str, str], int]:
        """Return how many errors there were, by operation and class."""
        return {
            (sample.labels["operation"], sample.labels["error"]): int(sample.value)
            for metric in self._registry.collect()
            for sample in metric.samples
            if sample.name == "image_host_storage_errors_total"
        }


async def test_each_operation_is_observed_once() -> None:
    measurement = Measurement(MemoryStorage())
    storage = measurement.storage
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"one")
    await staged.write(b"two")
    await staged.seal()
    await staged.publish()
    discarded = await storage.stage(OTHER_KEY, "image/jpeg")
    await discarded.discard()
    reader = await storage.open(KEY)
    assert await read_all(reader) == b"onetwo"
    assert (await storage.stat(KEY)).size == 6
    assert [info.key async for info in storage.list()] == [KEY]
    await storage.delete(KEY)
    await storage.probe()
    assert measurement.operations() == {
        "stage": 2,
        "write": 2,
        "seal": 1,
        "publish": 1,
        "discard": 1,
        "open": 1,
        "read": 2,
        "stat": 1,
        "list": 1,
        "delete": 1,
        "probe": 1,
    }
    assert measurement.errors() == {}


async def test_errors_are_counted_by_operation_and_class(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "images")
    await storage.prepare()
    shutil.rmtree(tmp_path / "images")
    measurement = Measurement(storage)
    for _ in range(2):
        with pytest.raises(StorageUnavailable):
            await measurement.storage.open(KEY)
    with pytest.raises(StorageUnavailable):
        await put(measurement.storage, KEY, LARGE)
    unavailable = "StorageUnavailable"
    assert measurement.errors() == {("open", unavailable): 2, ("write", unavailable): 1}
    await storage.close()


async def test_a_file_that_fails_after_its_first_block_is_an_error_of_reading(
    tmp_path: Path,
) -> None:
    storage = LocalStorage(tmp_path / "images")
    await put(storage, KEY, LARGE)
    measurement = Measurement(storage)
    for count, first in ((1, "waits for a thread"), (2, "is in memory, where that can be told")):
        reader = await measurement.storage.open(KEY)
        assert await reader.read(), first
        os.truncate(tmp_path / "images" / KEY[:2] / KEY, 1)
        with pytest.raises(StorageUnavailable):
            await read_all(reader)
        os.truncate(tmp_path / "images" / KEY[:2] / KEY, len(LARGE))
        assert measurement.errors() == {("read", "StorageUnavailable"): count}
    await storage.close()


@pytest.mark.parametrize(
    ("cause", "words"), [(None, "is shorter than it was"), (OSError(errno.EIO, "No"), "(EIO): ")]
)
async def test_bytes_that_the_kernel_cannot_send_are_an_error_of_reading(
    tmp_path: Path, cause: OSError | None, words: str
) -> None:
    storage = LocalStorage(tmp_path / "images")
    await put(storage, KEY, LARGE)
    measurement = Measurement(storage)
    reader = await measurement.storage.open(KEY)
    assert isinstance(reader, FileBacked)
    with pytest.raises(StorageUnavailable) as failure:
        reader.fail(cause)
    assert words in reason(failure.value)
    assert str(tmp_path / "images" / KEY[:2] / KEY) in reason(failure.value)
    assert measurement.errors() == {("read", "StorageUnavailable"): 1}
    await reader.close()
    await storage.close()


async def test_that_there_is_no_such_object_is_an_answer_and_no_error() -> None:
    measurement = Measurement(MemoryStorage())
    with pytest.raises(ObjectNotFound):
        await measurement.storage.open(KEY)
    assert measurement.operations() == {"open": 1}
    assert measurement.errors() == {}


async def test_a_file_in_memory_is_sent_by_the_kernel_as_before_and_costs_no_observation(
    tmp_path: Path,
) -> None:
    storage = LocalStorage(tmp_path / "images")
    await storage.prepare()
    if not storage._can_read_cached:
        pytest.skip("this file system does not say what the page cache has")
    await put(storage, KEY, bytes(100_000))
    measurement = Measurement(storage)
    for _ in range(3):
        reader = await measurement.storage.open(KEY)
        assert isinstance(reader, FileBacked)
        assert await read_all(reader) == bytes(100_000)
    assert measurement.operations() == {"open": 1}, "the first has waited for a thread"
    await storage.close()


async def test_abilities_are_observed_too(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path / "images")
    await storage.prepare()
    await put(storage, KEY, b"data")
    measurement = Measurement(storage)
    measured = measurement.storage
    assert isinstance(measured, abilities.Links)
    assert isinstance(measured, abilities.Marked)
    assert isinstance(measured, abilities.StagingArea)
    await measured.link(KEY, OTHER_KEY)
    await measured.write_mark(abilities.Mark(uuid4()))
    assert measured.location == str(tmp_path / "images")
    assert [info async for info in measured.list_staged()] == []
    assert measurement.operations() == {"link": 1, "write_mark": 1, "list_staged": 1}
    await storage.close()


def test_there_are_abilities() -> None:
    assert {abilities.Links, abilities.Marked, abilities.Presigns} <= set(ABILITIES)


async def test_a_measured_storage_has_the_abilities_of_the_other_one(
    storage: StorageBackend,
) -> None:
    measured = Measurement(storage).storage
    assert [ability for ability in ABILITIES if isinstance(measured, ability)] == [
        ability
        for ability in ABILITIES
        if isinstance(storage, ability) and ability is not abilities.Moving
    ], "of one that moves objects, both places are measured, and not itself"
