"""One of several server processes: `python -m app.commands.server_process LISTENER CHANNEL`.

The supervisor starts it, with its signals held and two descriptors: of the socket that all listen
on, and of a channel, which carries the settings, and beats or the reason of a failure (ADR 30).
"""

import logging.config
import os
import pickle
import signal
import socket
import sys
from contextlib import suppress
from threading import Thread

from app.composition.http_app import create_process_app
from app.observability.logs import log_config
from app.runtime import signals
from app.server.http_server import Server, failure
from app.server.process_handle import BEAT, FAILED


def main(listener: socket.socket, channel: socket.socket) -> int:
    """Serve until SIGTERM; a terminal's signals are for the supervisor alone."""
    with channel.makefile("rb") as received:
        settings = pickle.load(received)  # noqa: S301 - of our own supervisor
    logging.config.dictConfig(log_config(settings.log_format))

    async def beat() -> None:
        with suppress(ConnectionError, BlockingIOError):  # the supervisor has ended, or is stopped
            channel.send(BEAT, socket.MSG_DONTWAIT)

    try:
        server = Server(create_process_app(settings), settings, listener, beat)
        signal.signal(signal.SIGTERM, server.handle_exit)
        signals.handle(signal.SIG_IGN, signal.SIGINT, signal.SIGHUP)
        Thread(target=_end_with_supervisor, args=(channel,), daemon=True).start()
        signals.release()
        server.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor reports it
        channel.sendall(FAILED + failure(error).encode())
        return 1
    return 0


def _end_with_supervisor(channel: socket.socket) -> None:
    """Stop when the supervisor has ended: the next service may want the port."""
    with suppress(ConnectionError):  # of one that was killed before it had read every beat
        channel.recv(1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    _listener, _channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    sys.exit(main(_listener, _channel))
