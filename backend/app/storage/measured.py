"""A storage backend whose operations are measured (ADR 71)."""

from collections.abc import AsyncIterator, Awaitable, Coroutine
from inspect import iscoroutinefunction
from time import perf_counter
from typing import Any, Final, TypeVar, cast

from app.domain.errors import ObjectNotFound, StorageError
from app.observability.observer import Observer
from app.storage.abilities import (
    FileBacked,
    HasSpace,
    Links,
    Locates,
    Marked,
    Place,
    Presigns,
    Shares,
    StagingArea,
)
from app.storage.base import ObjectInfo, ObjectReader, Skipped, StagedObject, StorageBackend, ignore

_ABILITIES: Final[dict[type, tuple[str, ...]]] = {
    HasSpace: ("space",),
    Links: ("link",),
    Locates: ("locate",),
    Marked: ("location", "read_mark", "write_mark", "holds_objects", "require_mark"),
    Presigns: ("presign",),
    Shares: ("share",),
    StagingArea: ("list_staged", "discard_staged"),
}
"""What each optional ability consists of."""

_Result = TypeVar("_Result")


def measured(storage: Place, backend: str, observer: Observer) -> Place:
    """Return a storage backend that does what another one does, and is measured.

    Args:
        storage: The other one.
        backend: What it is called.
        observer: Told how long each operation takes, and how it fails.
    """
    return cast("Place", MeasuredStorage(storage, backend, observer))


class MeasuredStorage:
    """A `StorageBackend` with the abilities of another one, as `measured` describes."""

    def __init__(self, storage: StorageBackend, backend: str, observer: Observer) -> None:
        self._storage = storage
        self._backend = backend
        self._observer = observer
        for ability, names in _ABILITIES.items():
            if isinstance(storage, ability):
                for name in names:
                    setattr(self, name, self._measured(name, getattr(storage, name)))

    async def stage(self, key: str, content_type: str) -> StagedObject:
        """Begin an object, whose operations are measured too."""
        return _StagedObject(
            await self.observe("stage", self._storage.stage(key, content_type)), self
        )

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object. One in memory is opened without waiting, and is not observed."""
        begun = perf_counter()
        try:
            reader = await self._storage.open(key, start, length)
        except BaseException as error:
            self._end("open", perf_counter() - begun, error)
            raise
        if not isinstance(reader, FileBacked):
            reader = _Reader(reader, self)
        else:
            reader.on_failure = self._read_failed
            if not reader.has_waited:
                return reader
        self._end("open", perf_counter() - begun)
        return reader

    def stat(self, key: str) -> Coroutine[Any, Any, ObjectInfo]:
        """Return what is known of an object without reading it."""
        return self.observe("stat", self._storage.stat(key))

    def delete(self, key: str) -> Coroutine[Any, Any, None]:
        """Remove an object."""
        return self.observe("delete", self._storage.delete(key))

    def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield all objects in the order of their keys."""
        return self._listed("list", self._storage.list(skipped))

    def prepare(self) -> Coroutine[Any, Any, None]:
        """Set up what is missing."""
        return self.observe("prepare", self._storage.prepare())

    def probe(self) -> Coroutine[Any, Any, None]:
        """Prove that an object could be written now."""
        return self.observe("probe", self._storage.probe())

    async def close(self) -> None:
        """Release what is held."""
        await self._storage.close()

    async def observe(self, operation: str, work: Awaitable[_Result]) -> _Result:
        """Return what an operation returns, and observe how long it takes and how it fails."""
        begun = perf_counter()
        try:
            result = await work
        except BaseException as error:
            self._end(operation, perf_counter() - begun, error)
            raise
        self._end(operation, perf_counter() - begun)
        return result

    def _end(self, operation: str, seconds: float, error: BaseException | None = None) -> None:
        """Observe that an operation has ended; that there is no such object is no failure of it."""
        self._observer.storage_operation(self._backend, operation, seconds)
        if isinstance(error, StorageError) and not isinstance(error, ObjectNotFound):
            self._observer.storage_error(self._backend, operation, type(error).__name__)

    def _read_failed(self, error: StorageError) -> None:
        self._observer.storage_error(self._backend, "read", type(error).__name__)

    def _measured(self, name: str, ability: Any) -> Any:  # noqa: ANN401 - of whatever type
        if name == "list_staged":
            return lambda *args: self._listed(name, ability(*args))
        if iscoroutinefunction(ability):
            return lambda *args: self.observe(name, ability(*args))
        return ability

    async def _listed(
        self, operation: str, objects: AsyncIterator[ObjectInfo]
    ) -> AsyncIterator[ObjectInfo]:
        """Yield what is listed; it takes as long as was waited for it in all."""
        seconds = 0.0
        failure: BaseException | None = None
        try:
            while True:
                begun = perf_counter()
                try:
                    found = await anext(objects, None)
                finally:
                    seconds += perf_counter() - begun
                if found is None:
                    break
                yield found
        except StorageError as error:
            failure = error
            raise
        finally:
            self._end(operation, seconds, failure)


class _StagedObject:
    """A staged object whose operations are measured."""

    def __init__(self, staged: StagedObject, storage: MeasuredStorage) -> None:
        self._staged = staged
        self._storage = storage

    def write(self, data: bytes) -> Coroutine[Any, Any, None]:
        return self._storage.observe("write", self._staged.write(data))

    def seal(self) -> Coroutine[Any, Any, None]:
        return self._storage.observe("seal", self._staged.seal())

    def publish(self) -> Coroutine[Any, Any, bytes | None]:
        return self._storage.observe("publish", self._staged.publish())

    def discard(self) -> Coroutine[Any, Any, None]:
        return self._storage.observe("discard", self._staged.discard())


class _Reader:
    """A reader whose waiting is measured."""

    def __init__(self, reader: ObjectReader, storage: MeasuredStorage) -> None:
        self._reader = reader
        self._storage = storage

    @property
    def size(self) -> int:
        return self._reader.size

    def read(self) -> Coroutine[Any, Any, bytes | bytearray]:
        return self._storage.observe("read", self._reader.read())

    async def close(self) -> None:
        await self._reader.close()
