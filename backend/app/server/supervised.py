"""A process's side of the channel to its supervisor (ADR 30)."""

import logging
import os
import pickle
import signal
import socket
import time
from contextlib import suppress
from threading import Thread

from app.config.settings import Settings
from app.domain.errors import ImageHostError
from app.runtime import signals
from app.server.process_handle import BEAT, END_SECONDS, FAILED

_log = logging.getLogger(__name__)


class Supervised:
    """Receives the settings, and sends beats, or the reason of a failure.

    Args:
        channel: From the supervisor, which has started the process with its signals held.
    """

    settings: Settings
    """Of the service."""
    place: str
    """Of this process among the others."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        with channel.makefile("rb") as received:
            self.settings = pickle.load(received)  # noqa: S301 - of our own supervisor
            self.place = pickle.load(received)  # noqa: S301 - the same

    def heed(self) -> None:
        """Receive SIGTERM from now on, for which the caller has set a handler.

        The supervisor sends it, or this process itself once the supervisor has ended. A terminal's
        signals are for the supervisor alone.
        """
        signals.handle(signal.SIG_IGN, signal.SIGINT, signal.SIGHUP)
        Thread(target=self._end_with_supervisor, daemon=True).start()
        signals.release()

    async def beat(self) -> None:
        """Send a beat."""
        with suppress(ConnectionError, BlockingIOError):  # the supervisor has ended, or is stopped
            self._channel.send(BEAT, socket.MSG_DONTWAIT)

    def fail(self, reason: str) -> None:
        """Send why the process ends."""
        with suppress(ConnectionError):
            self._channel.sendall(FAILED + reason.encode())

    def _end_with_supervisor(self) -> None:
        """Stop when the supervisor has ended, as fast as it would ask: another may be started."""
        with suppress(ConnectionError):  # of one that was killed before it had read every beat
            self._channel.recv(1)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(END_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)


def failure(error: Exception) -> str:
    """Return in one line why a process cannot go on; log the traceback of a defect."""
    if not isinstance(error, OSError | ImageHostError):
        _log.error("the process cannot go on", exc_info=error)
    return f"{type(error).__name__}: {error}"
