"""The program of the process that writes uploads to the disk (ADR 20); `writer.py` starts it.

    python -I -S writer_program.py MEMORY THREADS

MEMORY is the descriptor of the memory that it shares with the service, THREADS how many fsyncs it
may wait for at once. Each line on standard input, a socket, is a list of orders in JSON, answered
by a line with a list of the system's error numbers: one for each order, 0 if it was carried out.

Needs nothing but the standard library, so that it starts at once, and keeps nothing from one line
to the next. It ends where its input ends, whatever made the service end; signals it leaves to that.
"""

import errno
import fcntl
import json
import mmap
import os
import signal
import socket
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from typing import Final, NamedTuple

PAGE: Final = 4096
"""Bytes. Pieces of whole pages can be written past the page cache."""

_DIRECT: Final[int] = getattr(os, "O_DIRECT", 0)
"""Of Linux. Elsewhere all goes through the page cache."""


class Order(NamedTuple):
    """A piece of a file that is to be written; the last one names the file's target."""

    path: str
    """The staged file. It is made with its first piece."""
    offset: int
    """Where in the file the piece belongs."""
    begin: int
    """Where in the shared memory it stands."""
    length: int
    """Its bytes."""
    target: str | None
    """What the file is called once it is durable."""


def main(memory: int, threads: int) -> None:
    """Carry out orders until there are no more."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    shared = memoryview(mmap.mmap(memory, 0))
    with (
        ThreadPoolExecutor(threads) as pool,
        socket.socket(fileno=sys.stdin.fileno()) as service,
        suppress(ConnectionError),  # of a service that was killed
        service.makefile("rb") as lines,
    ):
        for line in lines:
            orders = [Order(*fields) for fields in json.loads(line)]
            answer = json.dumps(carry_out(orders, shared, pool))
            service.sendall(answer.encode() + b"\n")


def carry_out(orders: Sequence[Order], memory: memoryview, pool: Executor) -> list[int]:
    """Carry out orders together; tell for each which error stopped it, 0 for none.

    All files take a step before any takes the next. So they wait for the disk together, and the
    first fsync of a step writes the filesystem's journal for the others too.
    """
    errors = [0] * len(orders)
    under_way = {number: _steps(order, memory) for number, order in enumerate(orders)}
    for waits in (False, True, False, True):
        at_once = pool.map if waits and len(under_way) > 1 else map
        outcomes = list(at_once(_take_step, under_way.values()))
        for number, outcome in zip(list(under_way), outcomes, strict=True):
            if outcome is not None:
                errors[number] = outcome
                del under_way[number]
    return errors


def _take_step(steps: Iterator[None]) -> int | None:
    """Go on with an order; None as long as it has steps left."""
    try:
        next(steps)
    except StopIteration:
        return 0
    except OSError as error:
        return error.errno or errno.EIO
    return None


def _steps(order: Order, memory: memoryview) -> Iterator[None]:
    """Carry out one order, the second and the fourth step of which wait for the disk.

    Whatever went through the page cache is synced before its descriptor is closed: once closed,
    the system may forget that it could not be written (fsync(2)).
    """
    piece = memory[order.begin : order.begin + order.length]
    with _opened(order) as descriptor:
        if order.target is None:
            yield
            written = _write_directly(descriptor, piece, order.offset)
            if written < order.length:
                _write(descriptor, piece[written:], order.offset + written)
                os.fsync(descriptor)
            return
        _write(descriptor, piece, order.offset)
        yield
        os.fsync(descriptor)
    yield
    os.rename(order.path, order.target)  # noqa: PTH104 - names are all that is needed here
    yield
    sync_folder(os.path.dirname(order.target))  # noqa: PTH120 - the same


@contextmanager
def _opened(order: Order) -> Iterator[int]:
    make = 0 if order.offset else os.O_CREAT | os.O_EXCL
    descriptor = os.open(order.path, os.O_WRONLY | os.O_CLOEXEC | make, 0o600)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _write(descriptor: int, piece: memoryview, offset: int) -> None:
    while piece:
        written = os.pwrite(descriptor, piece, offset)
        piece, offset = piece[written:], offset + written


def _write_directly(descriptor: int, piece: memoryview, offset: int) -> int:
    """Write whole pages past the page cache; tell how many bytes, 0 where that cannot be done."""
    if not _DIRECT or len(piece) % PAGE:
        return 0
    flags = fcntl.fcntl(descriptor, fcntl.F_GETFL)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags | _DIRECT)
        return os.pwrite(descriptor, piece, offset)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise
        return 0
    finally:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, flags)


def sync_folder(folder: str | os.PathLike[str]) -> None:
    """Make the names in a folder survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
