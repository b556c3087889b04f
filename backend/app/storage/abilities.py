"""What some storage backends, or their readers, can do besides: each a protocol of its own."""

from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from enum import Enum, auto
from typing import Final, NamedTuple, NoReturn, Protocol, Self, runtime_checkable
from uuid import UUID

from app.domain.errors import StorageError
from app.observability.figures import Space
from app.storage.base import ObjectInfo, Skipped, StorageBackend, ignore

_UNCONFIRMED: Final = " unconfirmed"


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
