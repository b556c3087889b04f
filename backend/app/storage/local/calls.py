"""Blocking system calls: how long they may take, and what their errors mean."""

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
    """A blocking function that is run in a thread."""

    name: str
    """What it does, for errors: the system call."""
    path: str
    function: Callable[[], _Result]
    undo: Callable[[_Result], object] | None = None
    """Takes back a result that comes after the timeout."""
    of_object: bool = False
    """Whether the path is an object's, so that no file means no object."""
    must_run: bool = False
    """Whether it is run in any case, even after its timeout."""
    seconds: float = field(default_factory=lambda: DISK_SECONDS)
    """The timeout."""

    def __call__(self) -> _Result:
        """Call the function.

        Raises:
            ObjectNotFound: If an object's file is missing and its folder is there.
            StorageError: As `storage_errors`, from an error that names the call and the path.
        """
        with storage_errors():
            try:
                return self.function()
            except OSError as error:
                named = named_error(error, self.name, self.path)
                is_missing = self.of_object and error.errno == errno.ENOENT
                if is_missing and Path(self.path).parent.is_dir():
                    raise ObjectNotFound(Path(self.path).name) from named
                raise named from error

    def timed_out(self) -> TimeoutError:
        """Return the error of a call that did not return in time."""
        words = f"{self.name}: no answer for {self.seconds:.0f} s"
        return TimeoutError(errno.ETIMEDOUT, words, self.path)


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise errors of the system as the storage's own.

    Raises:
        StorageFull: If there is no room.
        StorageUnavailable: On all other errors.
    """
    try:
        yield
    except OSError as error:
        raise (StorageFull() if error.errno in _NO_ROOM else StorageUnavailable()) from error
