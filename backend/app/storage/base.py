"""What a storage backend is: objects of bytes under keys, put whole or not at all."""

import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final, NamedTuple, Protocol, runtime_checkable
from uuid import UUID

KEY: Final = re.compile(r"[0-9a-f]{32}(\.[0-9a-z]{1,8})?")


def is_key(name: str) -> bool:
    """Tell whether a name is 32 hexadecimal digits and maybe an extension.

    So no backend ever sees a slash, a leading dot or a space, and keys spread evenly.
    """
    return KEY.fullmatch(name) is not None


def require_key(key: str) -> str:
    """Return the key if it is one.

    Raises:
        ValueError: If it is not a key; keys are made by the service, so this is a defect.
    """
    if not is_key(key):
        raise ValueError(f"not a storage key: {key!r}")
    return key


Skipped = Callable[[str], object]
"""Takes the name of a thing that is none of the service's, and that is left alone."""


def ignore(name: str) -> None:
    """Do nothing about a thing that is none of the service's."""


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What is known of a stored object without reading it."""

    key: str
    size: int
    """Bytes."""
    modified: datetime


class StagedObject(Protocol):
    """An object that is being written, and that no reader sees until it is published.

    It must end with `publish` or `discard`. Its methods are called one after the other.
    """

    async def write(self, data: bytes) -> None:
        """Append bytes; memory stays bounded whatever the total.

        Raises:
            StorageError: `StorageFull` or `StorageUnavailable`; only `discard` may follow.
        """

    async def flush(self) -> None:
        """Hand over what is held, so that an object that waits for others costs next to nothing.

        Raises:
            StorageError: As `write`.
        """

    async def publish(self) -> bytes | None:
        """Make the object durable and visible under its key, in one step.

        Returns:
            The SHA-256 of its bytes; None where that got lost on the way, which is rare.

        Raises:
            StorageError: As `write`; `discard` must follow.
        """

    async def discard(self) -> None:
        """Take the object back, published or not. Never raises; doing it twice is harmless."""


class ObjectReader(Protocol):
    """An open object, or a span of it. Must be closed."""

    @property
    def size(self) -> int:
        """Bytes of the whole object, not of the span."""

    async def read(self) -> bytes | bytearray:
        """Read the next bytes of the span, none at its end.

        Raises:
            StorageUnavailable: If the bytes cannot be read, or end before the span does.
        """

    async def close(self) -> None:
        """Let go of what is held. Doing it twice is harmless."""


@runtime_checkable
class StagingArea(Protocol):
    """A backend that can tell what uploads left behind that came to no end.

    Of the backends that keep such leftovers; one that does not, does not have these methods.
    """

    def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Go through all that is staged, also by uploads under way.

        Raises:
            StorageUnavailable: If it cannot be listed.
        """

    async def discard_staged(self, name: str) -> None:
        """Remove what `list_staged` gave under this name, if it is still there.

        Raises:
            StorageUnavailable: If it may still be there.
        """


class Mark(NamedTuple):
    """What a storage carries to be recognised."""

    storage_id: UUID
    is_confirmed: bool = True
    """Whether a database is known to know the id. If not, the one that made it was stopped."""


@runtime_checkable
class Marked(Protocol):
    """A backend whose place can be taken by another storage unnoticed, such as a folder.

    Where the mark is missing or wrong, no object counts as missing, and none is published.
    """

    @property
    def location(self) -> str:
        """Where it is, in words for the operator."""

    async def read_mark(self) -> Mark | None:
        """Return the mark; None if there is none, or nothing at all.

        Raises:
            StorageUnavailable: If that cannot be told.
        """

    async def write_mark(self, mark: Mark) -> None:
        """Put a mark in place of the one that may be there.

        Raises:
            StorageError: If it may not be there.
        """

    async def holds_objects(self) -> bool:
        """Return whether there is any object, also where folders are missing.

        Raises:
            StorageUnavailable: If that cannot be told.
        """

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while the storage has this confirmed mark."""


@runtime_checkable
class PromptReads(Protocol):
    """A backend that can read without waiting what it read a moment ago, as from a page cache.

    Of the backends for which asking is cheaper than a visit to a thread or to another host.
    """

    def holds(self, key: str) -> bool:
        """Tell whether an object is there; False also where that cannot be told at once."""

    def open_at_once(self, key: str, start: int, length: int) -> ObjectReader | None:
        """Do as `open` does, or give None where that would have to wait or would fail."""


class StorageBackend(Protocol):
    """Keeps objects. Every failure is a `StorageError`, raised from the backend's own error.

    A key (see `require_key`) is used for one object only, ever.
    """

    async def stage(self, key: str) -> StagedObject:
        """Begin an object.

        Raises:
            StorageError: `StorageFull` or `StorageUnavailable`.
        """

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or up to `length` bytes of it from `start` on.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If it cannot be told.
        """

    async def stat(self, key: str) -> ObjectInfo:
        """Look an object up without reading it.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If it cannot be told.
        """

    async def delete(self, key: str) -> None:
        """Remove an object; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """

    def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Go through all objects in the order of their keys, in bounded memory.

        Args:
            skipped: Takes the name of each thing there that is no object, such as what a file
                manager left.

        Raises:
            StorageUnavailable: If they cannot all be listed.
        """

    async def check(self) -> None:
        """Prove that an object could be written now; the first time, set up what is missing.

        Raises:
            StorageError: If it could not.
        """

    async def close(self) -> None:
        """Let go of what is held. Uploads still under way fail with `StorageUnavailable`."""
