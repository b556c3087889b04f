"""What a storage backend is: objects of bytes under keys, stored whole or not at all."""

import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import datetime
from enum import Enum, auto
from typing import Final, NamedTuple, NoReturn, Protocol, Self, runtime_checkable
from uuid import UUID

from app.domain.errors import StorageError
from app.observability.figures import Space

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


class FileSpan(NamedTuple):
    """Bytes of an open file, all of them in the page cache."""

    descriptor: int
    """Stays open until the reader is used again."""
    offset: int
    length: int


class FileBacked(ABC):
    """A reader of a file, from which the kernel can send by itself.

    A class, since each large download asks for it: to look for a protocol's methods takes 20 µs.
    """

    has_waited = False
    """Whether the disk was waited for, so that not all that was read was in the page cache."""
    on_failure: Callable[[StorageError], object] | None = None
    """Called with each error of what follows the first block."""

    @abstractmethod
    def take_cached(self) -> FileSpan | None:
        """Return the next bytes, which count as read; None where they must be `read`."""

    @abstractmethod
    def fail(self, cause: BaseException | None) -> NoReturn:
        """Raise what it means that bytes which were taken cannot be sent, because of the file.

        Args:
            cause: What the system says of it; None = the file ends before them.

        Raises:
            StorageError: Always.
        """


class UnlistedUploads(Exception):
    """A storage that does not list what is staged in it, though it lets it be staged."""


@runtime_checkable
class StagingArea(Protocol):
    """A backend that keeps leftovers of uploads that did not end, and can list them."""

    def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield all that is staged, also by uploads in progress.

        Raises:
            StorageUnavailable: If it cannot be listed.
            UnlistedUploads: At the end, if there may be more.
        """

    async def discard_staged(self, name: str) -> None:
        """Remove what `list_staged` yielded under this name, if it is still there.

        Raises:
            StorageUnavailable: If it may still be there.
        """


@runtime_checkable
class Locates(Protocol):
    """A backend whose objects a proxy in front can read by itself."""

    def locate(self, key: str) -> str:
        """Return the path of an object below the folder that the proxy reads."""


@runtime_checkable
class Links(Protocol):
    """A backend that can have the bytes of an object under another key without them being sent."""

    async def link(self, key: str, new_key: str) -> bool:
        """Make an object of the bytes of another one, durable and visible, and as young as new.

        Each of the two can be deleted without the other.

        Returns:
            Whether it did; not where it must be done by reading and writing.

        Raises:
            ObjectNotFound: If there is none under `key`.
            StorageError: As `StagedObject.publish`.
        """


@runtime_checkable
class Presigns(Protocol):
    """A backend whose objects can be fetched past it, by addresses that soon expire."""

    async def presign(self, key: str, seconds: int, headers: Mapping[str, str]) -> str:
        """Return an address by which anybody can get an object, if it is there.

        Args:
            key: Its key.
            seconds: How long the address is valid.
            headers: What the answer's header fields are to be, by lower-case names.

        Raises:
            StorageUnavailable: If there is none now.
        """


@runtime_checkable
class HasSpace(Protocol):
    """A backend that knows how much room there is for its objects."""

    async def space(self) -> Space | None:
        """Return the room; None where it has no bounds.

        Raises:
            StorageUnavailable: If that cannot be found out.
        """


class Sharing(Enum):
    """What became of two objects that were to share their bytes."""

    DONE = auto()
    BEFORE = auto()
    """They did already."""
    DIFFERENT = auto()
    """Their bytes are not equal."""
    IMPOSSIBLE = auto()
    """The system does not let them."""


@runtime_checkable
class Shares(Protocol):
    """A backend in which equal objects can take the space of one."""

    async def share(self, key: str, other: str) -> Sharing:
        """Let an object share the bytes of another one, if they are equal byte by byte.

        Each stays an object of its own: to delete one changes nothing of the other, and one that is
        deleted at the same time stays deleted.

        Raises:
            ObjectNotFound: If one of the two is not there.
            StorageError: If that cannot be found out, or be done; nothing has changed then.
        """


_UNCONFIRMED: Final = " unconfirmed"


class Mark(NamedTuple):
    """What a storage is recognised by."""

    storage_id: UUID
    is_confirmed: bool = True
    """Whether a database has the id. If that is not known, whoever made it was stopped."""

    @property
    def text(self) -> str:
        """The mark as it is stored."""
        return f"{self.storage_id}{'' if self.is_confirmed else _UNCONFIRMED}\n"

    @classmethod
    def of_text(cls, text: str) -> Self:
        """Return the mark that is stored as `text`.

        Raises:
            ValueError: If there is none.
        """
        first = text.removesuffix("\n")
        storage_id = UUID(first.removesuffix(_UNCONFIRMED))
        mark = cls(storage_id, is_confirmed=not first.endswith(_UNCONFIRMED))
        if text != mark.text:
            raise ValueError("it is not as it was written")
        return mark


@runtime_checkable
class Marked(Protocol):
    """A backend whose place can be taken by another storage unnoticed: a folder, a bucket.

    Where the mark is missing or wrong, no object counts as missing, and none is published.
    """

    @property
    def location(self) -> str:
        """Where it is, for the operator."""

    async def read_mark(self) -> Mark | None:
        """Return the mark; None if there is none, or nothing at all.

        Raises:
            StorageUnavailable: If that cannot be found out.
        """

    async def write_mark(self, mark: Mark) -> None:
        """Write a mark, in place of the one that may be there.

        Raises:
            StorageError: If it may not be there.
        """

    async def holds_objects(self) -> bool:
        """Return whether there is any object, also where folders are missing.

        Raises:
            StorageUnavailable: If that cannot be found out.
        """

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while the storage has this confirmed mark."""


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


class Place(StorageBackend, Marked, StagingArea, Protocol):
    """A backend that objects can be moved from, or to."""


@runtime_checkable
class Moving(Protocol):
    """A backend whose objects are being copied from one to another.

    An object that is deleted while it is copied may be there once more until the copy is found out.
    """

    @property
    def source(self) -> Place:
        """Where they have been."""

    @property
    def destination(self) -> Place:
        """Where they will be, and new ones are."""
