"""Writes the responses of one connection, and bounds how long a client may take for them.

A client is judged by the bytes that it takes, wherever they wait for it: in the transport's buffer
or in the kernel's (ADR 21).
"""

import asyncio
import fcntl
import os
import socket
import sys
import termios
from asyncio import TimerHandle
from collections.abc import Callable
from contextlib import suppress
from typing import Final

WRITE_SECONDS: Final = 90.0
"""How long a client may take nothing of a response.

Linux takes 128 KiB for a client at once, and then nothing until the client has read nearly all of
them: at 2 KB/s for up to 68 s.
"""
WRITE_MIN_RATE: Final = 256
"""Bytes taken that make up for one second; so also the slowest rate that goes on for long."""
MAX_UNSENT: Final = 128 * 1024
"""Bytes of a connection that the kernel keeps besides those on their way to the client."""

_PIECE: Final = 4096
"""Bytes of a file that are written where the kernel takes no more, so that the transport waits."""
_CHECKS: Final = 10
"""How often the client's progress is checked within `WRITE_SECONDS`."""
_CONTINUE: Final = b"HTTP/1.1 100 "


class ResponseWriter:
    """A transport for responses, one after the other; a head waits for the first of its body.

    uvicorn writes the two one by one, which makes two system calls and two packets of each
    response. Where the request is not yet read to its end, the service may linger over it (see
    BodyLimit), and the head waits no longer than for the event loop's next turn.

    Args:
        transport: The connection.
        loop: The event loop that runs it.
        is_reading: Returns whether the request that is answered is still being read.
    """

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        is_reading: Callable[[], bool],
    ) -> None:
        self.deadline = WriteDeadline(transport, loop)
        self._transport = transport
        self._loop = loop
        self._is_reading = is_reading
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        """Write a piece of a response."""
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif self._begun or data.startswith(_CONTINUE):  # a body may begin with that as well
            self._transport.write(data)
        else:
            self._head, self._begun = data, True
            if self._is_reading():
                self._loop.call_soon(self._flush)

    def send_file(self, descriptor: int, offset: int, count: int) -> int:
        """Send bytes of a file from the page cache, unless earlier ones wait in the transport.

        Where the kernel takes none, a small piece is written as other bytes are: the transport
        then waits until the client has taken some, and that has its deadline.

        Returns:
            How many were sent or written.

        Raises:
            EOFError: If the file is shorter, or cannot be read.
        """
        self._flush()
        # From now on, writing pauses until the transport is empty.
        self._transport.set_write_buffer_limits(0)
        if not self._transport.get_write_buffer_size():
            try:
                sent = os.sendfile(_descriptor(self._transport), descriptor, offset, count)
            except OSError:  # whether of the client or of the file, the calls below find out
                sent = 0
            if sent:
                return sent
        try:
            piece = os.pread(descriptor, min(_PIECE, count), offset)
        except OSError as error:
            raise EOFError("a file cannot be read any more while it is sent") from error
        if not piece:
            raise EOFError("a file became shorter while it was sent")
        self._transport.write(piece)
        return len(piece)

    def end(self) -> None:
        """End a response; what is written next begins another."""
        self._flush()
        self._begun = False

    def is_closing(self) -> bool:
        """Return whether the connection is closing or closed."""
        return self._transport.is_closing()

    def close(self) -> None:
        """Close the connection once the client has taken all, or has exceeded the deadline."""
        self._flush()
        if not self._transport.is_closing():
            self._transport.close()
            self.deadline.start()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class WriteDeadline:
    """Aborts a connection whose client does not take what waits for it.

    While it runs, time consumes a budget of `WRITE_SECONDS`, and bytes that the client takes refill
    it. The kernel's buffer counts, for it may hold megabytes: a client that takes these is active,
    though nothing more can be written until it has taken them.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._timer: TimerHandle | None = None
        self._budget = 0.0
        self._untaken = 0
        _bound_unsent(transport)

    def start(self) -> None:
        """Start, unless it runs."""
        if self._timer is None:
            self._budget = WRITE_SECONDS
            self._untaken = 0
            self._schedule()

    def stop(self) -> None:
        """Stop: the client has taken enough, or the connection is lost."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        self._timer = self._loop.call_later(WRITE_SECONDS / _CHECKS, self._check)

    def _check(self) -> None:
        untaken = self._transport.get_write_buffer_size() + _count_in_kernel(self._transport)
        taken = max(self._untaken - untaken, 0)
        self._untaken = untaken
        left = self._budget - WRITE_SECONDS / _CHECKS + taken / WRITE_MIN_RATE
        self._budget = min(left, WRITE_SECONDS)
        if self._budget > 0:
            self._schedule()
        else:
            self._transport.abort()


def has_unread_input(transport: asyncio.Transport) -> bool:
    """Return whether bytes, or the end of them, wait in the kernel to be read."""
    return _ask_kernel(transport, termios.FIONREAD) > 0


def _bound_unsent(transport: asyncio.Transport) -> None:
    """Bound what the kernel takes before it can be sent; what is on its way is not bounded."""
    if hasattr(socket, "TCP_NOTSENT_LOWAT"):  # Linux and macOS
        with suppress(OSError):  # macOS refuses it where the client has left already
            transport.get_extra_info("socket").setsockopt(
                socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT
            )


def _count_in_kernel(transport: asyncio.Transport) -> int:
    """Return how many bytes the client has not acknowledged yet (SIOCOUTQ of Linux, tcp(7)).

    Elsewhere 0: bytes count as taken once the kernel has them, which keeps at most `MAX_UNSENT`.
    """
    return _ask_kernel(transport, termios.TIOCOUTQ) if sys.platform == "linux" else 0


def _ask_kernel(transport: asyncio.Transport, request: int) -> int:
    return int.from_bytes(fcntl.ioctl(_descriptor(transport), request, bytes(4)), sys.byteorder)


def _descriptor(transport: asyncio.Transport) -> int:
    descriptor: int = transport.get_extra_info("socket").fileno()
    return descriptor
