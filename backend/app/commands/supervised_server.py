"""What all processes have in common that serve HTTP below a supervisor."""

import logging.config
import signal
import socket
import sys
from collections.abc import Callable

from app.observability.logs import log_config
from app.server.http_server import Server
from app.server.supervised import Supervised, failure

MakeServer = Callable[[Supervised, socket.socket], Server]


def run(make_server: MakeServer) -> int:
    """Serve until SIGTERM, by the two descriptors that the supervisor has appended.

    Args:
        make_server: Returns the server, given the settings and where connections arrive.

    Returns:
        0 = SIGTERM has stopped it, 1 = it could not serve, and the supervisor knows why.
    """
    listener, channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    supervised = Supervised(channel)
    settings = supervised.settings
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    try:
        server = make_server(supervised, listener)
        signal.signal(signal.SIGTERM, server.handle_exit)
        supervised.heed()
        server.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor reports it
        supervised.fail(failure(error))
        return 1
    return 0
