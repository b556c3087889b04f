"""The program of the process that writes uploads to the disk (ADR 20); `writer.py` starts it.

    python -I -S writer_program.py MEMORY THREADS

MEMORY is the descriptor of the memory that it shares with the service, THREADS how many fsyncs it
may wait for at once. Each line on standard input, a socket, is a batch of orders in JSON (null: no
order, only an answer is wanted), answered by a line with a list of outcomes.

Needs nothing but the standard library, so that it starts at once, and keeps nothing from one batch
to the next but the checksums of incomplete files. It ends where its input ends, whatever ended the
service, and ignores the signals that end that.
"""

import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from hashlib import sha256
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from hashlib import _Hash

PAGE: Final = 4096
"""Bytes. Pieces of whole pages can be written past the page cache."""

MOST_CHECKSUMS: Final = 10_000
"""Of incomplete files. A discarded one is not reported here, so the oldest makes room."""

UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})
"""Errors of a call, or a flag of one, that a file system does not have."""

_DIRECT: Final[int] = getattr(os, "O_DIRECT", 0)
"""Of Linux. Elsewhere all goes through the page cache."""

Failure = list[int | str | None]
"""The arguments of a `CallError`."""


class Proof(NamedTuple):
    """A file that shows that a folder is the right one."""

    path: str
    text: str
    """Its content."""


class Order(NamedTuple):
    """A piece of a file, to be written; the last one publishes the file."""

    path: str
    """The staged file. It is made with its first piece."""
    offset: int
    """Where in the file the piece begins."""
    begin: int
    """Where in the shared memory it begins."""
    length: int
    """Its bytes."""
    target: str | None
    """The file's name once it is durable; with the last piece only."""
    proof: Proof | None = None
    """What must be there when the file is published."""


class Outcome(NamedTuple):
    """The result of an order."""

    failure: Failure | None = None
    checksum: str | None = None
    """Of a published file: its SHA-256, in hexadecimal digits."""

    def error(self) -> "CallError | None":
        """Return why the order failed, if it did."""
        return CallError(*self.failure) if self.failure else None

    def digest(self) -> bytes | None:
        """Return the checksum as bytes."""
        return bytes.fromhex(self.checksum) if self.checksum else None


Checksums = dict[str, "_Hash"]
"""Of the incomplete files, by their paths."""


def main(memory: int, threads: int) -> None:
    """Carry out batches of orders until there are no more."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    shared = memoryview(mmap.mmap(memory, 0))
    with (
        ThreadPoolExecutor(threads) as pool,
        socket.socket(fileno=sys.stdin.fileno()) as service,
        suppress(ConnectionError),  # of a service that was killed
        service.makefile("rb") as lines,
    ):
        checksums: Checksums = {}
        for line in lines:
            orders = [fields and Order(*fields) for fields in json.loads(line)]
            answer = json.dumps(carry_out(orders, shared, pool, checksums))
            service.sendall(answer.encode() + b"\n")


def carry_out(
    orders: Sequence[Order | None], memory: memoryview, pool: Executor, checksums: Checksums
) -> list[Outcome]:
    """Carry out a batch of orders; return the outcome of each.

    All files take a step before any takes the next. So they wait for the disk together, and the
    first fsync of a step writes the filesystem's journal for the others too.
    """
    outcomes = [Outcome() for _ in orders]
    in_progress = {
        number: _steps(order, memory, checksums)
        for number, order in enumerate(orders)
        if order is not None
    }
    for waits in (False, True, False, True):
        apply = pool.map if waits and len(in_progress) > 1 else map
        results = list(apply(_take_step, in_progress.values()))
        for number, outcome in zip(list(in_progress), results, strict=True):
            if outcome is not None:
                outcomes[number] = outcome
                del in_progress[number]
    while len(checksums) > MOST_CHECKSUMS:
        del checksums[next(iter(checksums))]
    return outcomes


def _take_step(steps: "_Steps") -> Outcome | None:
    """Take the next step of an order; return its outcome, None while it has steps left."""
    try:
        next(steps)
    except StopIteration as end:
        return Outcome(checksum=end.value)
    except OSError as error:
        number = error.errno or errno.EIO
        return Outcome([number, error.strerror, error.filename, None, error.filename2])
    return None


_Steps = Generator[None, None, str | None]


def _steps(order: Order, memory: memoryview, checksums: Checksums) -> _Steps:
    """Carry out one order, the second and the fourth step of which wait for the disk.

    What was written to the page cache is synced before its descriptor is closed: once closed, the
    system may forget that it could not be written to the disk (fsync(2)).
    """
    piece = memory[order.begin : order.begin + order.length]
    checksum = checksums.pop(order.path, None) if order.offset else sha256()
    is_whole_file = order.target is not None and not order.offset
    with _opened(order) as descriptor:
        if is_whole_file:  # small, and may be asked for soon
            _write(order, descriptor, piece)
        if order.target and order.proof:
            require(Proof(*order.proof))
        yield
        if checksum:
            checksum.update(piece)
        written = len(piece) if is_whole_file else _write_directly(order, descriptor, piece)
        _write(order, descriptor, piece, written)
        if order.target or written < len(piece):
            _sync(order, descriptor)
    if order.target is None:
        if checksum:
            checksums[order.path] = checksum
        return None
    yield
    with named("rename", order.path, order.target):
        os.rename(order.path, order.target)  # noqa: PTH104 - names are all that is needed here
    yield
    sync_folder(os.path.dirname(order.target))  # noqa: PTH120 - the same
    return checksum.hexdigest() if checksum else None


def require(proof: Proof) -> None:
    """Make sure that a folder is the right one.

    Raises:
        CallError: If it is not, but for example the empty one under a volume that is not mounted.
    """
    with named("read", proof.path):
        try:
            with open(proof.path, encoding="ascii", errors="replace") as file:  # noqa: PTH123
                found = file.read(len(proof.text) + 1)
        except (FileNotFoundError, NotADirectoryError):
            raise OSError(errno.ENOENT, "no storage is there; is its volume mounted?") from None
        if found != proof.text:
            raise OSError(errno.ENOENT, "the storage of another database is there")


class CallError(OSError):
    """An error of the system that names the call, and the path also of calls on a descriptor."""


@contextmanager
def named(call: str, path: str, target: str | None = None) -> Iterator[None]:
    """Raise errors of the system as `named_error`."""
    try:
        yield
    except OSError as error:
        raise named_error(error, call, path, target) from error


def named_error(error: OSError, call: str, path: str, target: str | None = None) -> CallError:
    """Return an error as one that names the call and the path, if it is none yet."""
    if isinstance(error, CallError):
        return error
    number = error.errno or errno.EIO
    words = f"{call}: {error.strerror or os.strerror(number)}"
    return CallError(number, words, error.filename or path, None, target)


@contextmanager
def _opened(order: Order) -> Iterator[int]:
    make = 0 if order.offset else os.O_CREAT | os.O_EXCL
    with named("open", order.path):
        descriptor = os.open(order.path, os.O_WRONLY | os.O_CLOEXEC | make, 0o600)
    try:
        yield descriptor
    finally:
        with named("close", order.path):  # some file systems report here what could not be written
            os.close(descriptor)


def _sync(order: Order, descriptor: int) -> None:
    with named("fsync", order.path):
        os.fsync(descriptor)


def _write(order: Order, descriptor: int, piece: memoryview, begin: int = 0) -> None:
    """Write a piece, without its first `begin` bytes, which the file has."""
    while begin < len(piece):
        with named("write", order.path):
            begin += os.pwrite(descriptor, piece[begin:], order.offset + begin)


def _write_directly(order: Order, descriptor: int, piece: memoryview) -> int:
    """Write whole pages past the page cache; return how many bytes, 0 where that is impossible."""
    pages = piece[: len(piece) // PAGE * PAGE]
    if not (_DIRECT and pages):
        return 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _DIRECT)
        with named("write", order.path):
            return os.pwrite(descriptor, pages, order.offset)
    except OSError as error:
        if error.errno not in UNSUPPORTED:
            raise
        return 0
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def sync_folder(folder: str) -> None:
    """Make the names in a folder survive a power cut.

    Raises:
        CallError: If they may not; `UNSUPPORTED` where the file system cannot do it at all.
    """
    with named("open", folder):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        with named("fsync of folder", folder):
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
