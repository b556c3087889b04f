"""Blocking calls of the system: how long they may take, and what their errors mean."""

import errno
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Generic, TypeVar

from app.domain.errors import ObjectNotFound, StorageFull, StorageUnavailable
from app.storage.local.writer_program import named_error

DISK_SECONDS: Final = 15.0
"""How long anything waits for the disk.

More than a busy disk takes (a fsync behind gigabytes of other writes: seconds), less than clients
and proxies wait for an answer (30 to 60 s), and than requests may take to end at shutdown (30 s).
"""

_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_Result = TypeVar("_Result")


@dataclass(frozen=True, slots=True)
class Call(Generic[_Result]):
    """A blocking function, and what must be known of it where it is waited for."""

    name: str
    """What it does, for errors: the system's call."""
    path: str
    function: Callable[[], _Result]
    undo: Callable[[_Result], object] | None = None
    """Takes back a result that comes when nobody waits for it any more."""
    of_object: bool = False
    """Whether the path is an object's, so that no file means no object."""
    is_certain: bool = False
    """Whether it is made in any case, even after it was waited for in vain."""
    seconds: float = field(default_factory=lambda: DISK_SECONDS)
    """How long it is waited for."""

    def __call__(self) -> _Result:
        """Call the function.

        Raises:
            StorageError: See `translated_errors`.
        """
        with translated_errors(self.name, self.path, of_object=self.of_object):
            return self.function()

    def timeout(self) -> TimeoutError:
        """Return the error of a call that was waited for in vain."""
        words = f"{self.name}: no answer for {self.seconds:.0f} s"
        return TimeoutError(errno.ETIMEDOUT, words, self.path)


@contextmanager
def translated_errors(call: str, path: str, *, of_object: bool = False) -> Iterator[None]:
    """Raise the storage's own errors, from one that names the call and the path.

    Raises:
        ObjectNotFound: If an object's file is missing and its folder is there.
        StorageFull: If there is no room.
        StorageUnavailable: On all other errors of the system.
    """
    try:
        yield
    except OSError as error:
        named = named_error(error, call, path)
        if of_object and error.errno == errno.ENOENT and Path(path).parent.is_dir():
            raise ObjectNotFound(Path(path).name) from named
        raise storage_error(named) from named


def storage_error(error: OSError) -> StorageFull | StorageUnavailable:
    """Return what an error of the system means for a file that is being written."""
    return StorageFull() if error.errno in _NO_ROOM else StorageUnavailable()
