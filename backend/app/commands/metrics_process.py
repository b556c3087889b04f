"""The process of METRICS_ADDRESS: `python -m app.commands.metrics_process LISTENER CHANNEL`.

The service's supervisor starts it, as it does `server_process`.
"""

import logging.config
import os
import signal
import socket
import sys
from pathlib import Path
from typing import Final

from app.composition.metrics_app import create_metrics_app
from app.composition.observation import make_observer
from app.observability.logs import log_config
from app.observability.metrics.folder import VARIABLE
from app.server.http_server import Server
from app.server.supervised import Supervised, failure

MAX_CONNECTIONS: Final = 32
"""Of those who ask: Prometheus opens one, a person a few."""


def main(listener: socket.socket, channel: socket.socket) -> int:
    """Answer until SIGTERM."""
    supervised = Supervised(channel)
    settings = supervised.settings
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    try:
        observer = make_observer(settings, supervised.place)
        app = create_metrics_app(settings, Path(os.environ[VARIABLE]), observer)
        bounds = settings.model_copy(update={"max_connections": MAX_CONNECTIONS})
        server = Server(app, bounds, listener, supervised.beat)
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
