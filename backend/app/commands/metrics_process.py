"""The process of METRICS_ADDRESS: `python -m app.commands.metrics_process LISTENER CHANNEL`.

The service's supervisor starts it, as it does `server_process`.
"""

import os
import socket
import sys
from pathlib import Path
from typing import Final

from app.commands import supervised_server
from app.composition.metrics_app import create_metrics_app
from app.composition.observation import make_observer
from app.observability.metrics.folder import VARIABLE
from app.server.http_server import Server
from app.server.supervised import Supervised

MAX_CONNECTIONS: Final = 32
"""Of those who ask: Prometheus opens one, a person a few."""


def _make_server(supervised: Supervised, listener: socket.socket) -> Server:
    settings = supervised.settings
    observer = make_observer(settings, supervised.place)
    app = create_metrics_app(settings, Path(os.environ[VARIABLE]), observer)
    bounds = settings.model_copy(update={"max_connections": MAX_CONNECTIONS})
    return Server(app, bounds, listener, supervised.beat)


if __name__ == "__main__":
    sys.exit(supervised_server.run(_make_server))
