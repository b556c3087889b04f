"""What a storage backend is: objects of bytes under keys, stored whole or not at all."""

import re
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from typing import Final, NamedTuple, Protocol

KEY: Final = re.compile(r"[0-9a-f]{32}(-[0-9]{1,4}-[0-9a-f]{1,16})?(\.[0-9a-z]{1,8})?")


def is_key(name: str) -> bool:
    """Return whether a name is 32 hexadecimal digits, maybe those of a rendition, and an extension.

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
"""Takes the name of what is no object, such as a file manager's, and is left alone."""


def ignore(name: str) -> None:
    """Do nothing about what is no object."""


class ObjectInfo(NamedTuple):
    """What is known of a stored object without reading it."""

    key: str
    size: int
    """Bytes."""
    modified: datetime


class StagedObject(Protocol):
    """An object that is being written, and that no reader sees until it is published.

    `write` …, maybe `seal`, then `publish` or `discard`; each is called after the one before
    has returned.
    """

    async def write(self, data: bytes) -> None:
        """Append bytes; memory stays bounded whatever the total.

        Raises:
            StorageError: `StorageFull` or `StorageUnavailable`; only `discard` may follow.
        """

    async def seal(self) -> None:
        """End the writing, and hold next to nothing until `publish`: for one that waits for others.

        Raises:
            StorageError: As `write`.
        """

    async def publish(self) -> bytes | None:
        """Make the object durable and visible under its key, in one step.

        Returns:
            The SHA-256 of its bytes; None where that was lost on the way, which is rare.

        Raises:
            StorageError: As `write`; `discard` must follow.
        """

    async def discard(self) -> None:
        """Remove the object, published or not. Never raises; doing it twice is harmless."""


class ObjectReader(Protocol):
    """An open object, or a span of it. Must be closed."""

    @property
    def size(self) -> int:
        """Bytes of the whole object, not of the span."""

    async def read(self) -> bytes | bytearray:
        """Return the next bytes of the span, none at its end.

        Raises:
            StorageUnavailable: If the bytes cannot be read, or end before the span does.
        """

    async def close(self) -> None:
        """Release what is held. Doing it twice is harmless."""


class StorageBackend(Protocol):
    """Keeps objects. Every failure is a `StorageError`, raised from the backend's own error.

    A key (see `require_key`) is used for one object only, ever.
    """

    async def stage(self, key: str, content_type: str) -> StagedObject:
        """Begin an object.

        Args:
            key: Its key.
            content_type: Its media type, for backends that clients are sent to.

        Raises:
            StorageError: `StorageFull` or `StorageUnavailable`.
        """

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object, or up to `length` bytes of it from `start` on.

        What is in memory is opened without waiting. A span of length 0 shows that the object is
        there, at the least cost.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If it cannot be opened.
        """

    async def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object without reading it.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If that cannot be found out.
        """

    async def delete(self, key: str) -> None:
        """Remove an object; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """

    def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield all objects in the order of their keys, in bounded memory.

        Args:
            skipped: Takes the name of each thing there that is no object.

        Raises:
            StorageUnavailable: If they cannot all be listed.
        """

    async def prepare(self) -> None:
        """Set up what is missing, once; until that succeeds, `stage` and `probe` do so first.

        Raises:
            StorageError: If it fails, or no object could be written.
        """

    async def probe(self) -> None:
        """Prove that an object could be written now, within seconds.

        Raises:
            StorageError: If none could.
        """

    async def close(self) -> None:
        """Release what is held. Uploads still in progress fail with `StorageUnavailable`."""
