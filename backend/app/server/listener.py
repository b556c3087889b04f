"""The socket that the service listens on, which all its processes share."""

import ctypes
import errno
import logging
import resource
import socket
import struct
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from typing import Final

from app.config.environment import origin
from app.config.settings import Settings

FILES_PER_CONNECTION: Final = 3
"""The connection itself, the file that it uploads or downloads, and one beyond the limit."""
OTHER_FILES: Final = 200
"""Libraries, the log, files of the storage."""

_SO_ATTACH_FILTER: Final = 26
"""Of Linux, which Python does not name."""
_DROP_SYN: Final = b"".join(
    struct.pack("HBBI", *instruction)
    for instruction in (
        (0x30, 0, 0, 13),  # load the byte of the TCP header that holds the flags
        (0x45, 0, 1, 0x02),  # SYN?
        (0x06, 0, 0, 0),  # drop the packet
        (0x06, 0, 0, 0xFFFFFFFF),  # take it whole
    )
)
"""A classic BPF program (Linux, Documentation/networking/filter.rst)."""

_log = logging.getLogger(__name__)


class CannotListen(Exception):
    """The address to listen on cannot be used; the sentence says what to set."""


def listen(settings: Settings) -> socket.socket:
    """Open the listening socket.

    Raises:
        CannotListen: If the address is taken, or not of this machine.
    """
    return _open(settings.host, settings.port, settings.backlog, ("host", "port"))


def listen_for_metrics(settings: Settings) -> socket.socket:
    """Open the listening socket of METRICS_ADDRESS.

    Raises:
        CannotListen: As `listen`.
    """
    return _open(*settings.metrics_listener, settings.backlog, ("metrics_address",))


def _open(host: str, port: int, backlog: int, names: Sequence[str]) -> socket.socket:
    """Open a listening socket.

    Args:
        host: Address to listen on.
        port: TCP port.
        backlog: Connections that may wait to be accepted.
        names: Of the settings that say so.

    Raises:
        CannotListen: If the address is taken, or not of this machine.
    """
    with ExitStack() as opened:
        try:
            family, kind, protocol, _, address = socket.getaddrinfo(
                host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
            )[0]
            listener = opened.enter_context(socket.socket(family, kind, protocol))
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(backlog)
        except (OSError, UnicodeError) as error:  # the latter for a name that DNS cannot encode
            if getattr(error, "errno", None) == errno.EADDRINUSE:
                which = " or ".join(name.upper() for name in names)
                raise CannotListen(f"Port {port} of {host} is in use; set {which}.") from error
            reason = getattr(error, "strerror", None) or "it is not a host name"
            origins = " ".join(
                f"The {name.removeprefix('metrics_').replace('host', 'address')} is {origin(name)}."
                for name in names
            )
            raise CannotListen(
                f"Port {port} of {host} cannot be used: {reason}. {origins}"
            ) from error
        opened.pop_all()
    return listener


def address_of(listener: socket.socket) -> str:
    """Return the address of the service for a browser on this machine."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "localhost", "::": "localhost"}.get(host, host)  # noqa: S104 - shown, not bound
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def refuse_new_connections(listener: socket.socket) -> None:
    """Drop packets that would begin a connection; those that have begun can still be accepted.

    Closing the socket would reset every connection in its backlog. A client whose packet is dropped
    sends another after a second: by then the socket is closed, or another service has the port.
    Other systems than Linux have no such filter: a connection that arrives last may be reset.
    """
    program = ctypes.create_string_buffer(_DROP_SYN)
    count = len(_DROP_SYN) // 8
    with suppress(OSError):
        listener.setsockopt(
            socket.SOL_SOCKET,
            _SO_ATTACH_FILTER,
            struct.pack("HP", count, ctypes.addressof(program)),
        )


def allow_open_files(settings: Settings) -> None:
    """Raise the soft limit, often 1024, to the hard one, and warn if that is not enough."""
    wanted = (
        FILES_PER_CONNECTION * settings.max_connections
        + settings.database_connections
        + OTHER_FILES
    )
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS has a limit that it does not name
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most != resource.RLIM_INFINITY and most < wanted:
        _log.warning(
            "MAX_CONNECTIONS may need %s open files and the system allows %s: set less, or raise "
            "the limit (ulimit -n)",
            wanted,
            most,
        )
