"""One of several server processes: `python -m app.commands.server_process LISTENER CHANNEL`.

The supervisor starts it, with two descriptors: of the socket that all listen on, and of a channel,
which carries the settings, and beats or the reason of a failure (ADR 30).
"""

import logging.config
import signal
import socket
import sys

from app.composition.http_app import create_process_app
from app.composition.observation import make_observer
from app.observability.logs import log_config
from app.server.http_server import Server
from app.server.supervised import Supervised, failure


def main(listener: socket.socket, channel: socket.socket) -> int:
    """Serve until SIGTERM."""
    supervised = Supervised(channel)
    settings = supervised.settings
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    try:
        observer = make_observer(settings, supervised.place)
        app = create_process_app(settings, observer)
        server = Server(app, settings, listener, supervised.beat, observer)
        signal.signal(signal.SIGTERM, server.handle_exit)
        supervised.heed()
        server.run()
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor reports it
        supervised.fail(failure(error))
        return 1
    return 0


if __name__ == "__main__":
    _listener, _channel = (socket.socket(fileno=int(number)) for number in sys.argv[1:])
    sys.exit(main(_listener, _channel))
