"""One of several server processes: `python -m app.commands.server_process LISTENER CHANNEL`.

The supervisor starts it, with two descriptors: of the socket that all listen on, and of a channel,
which carries the settings, and beats or the reason of a failure (ADR 30).
"""

import socket
import sys

from app.commands import supervised_server
from app.composition.http_app import create_process_app
from app.composition.observation import make_observer
from app.server.http_server import Server
from app.server.supervised import Supervised


def _make_server(supervised: Supervised, listener: socket.socket) -> Server:
    settings = supervised.settings
    observer = make_observer(settings, supervised.place)
    app = create_process_app(settings, observer)
    return Server(app, settings, listener, supervised.beat, observer)


if __name__ == "__main__":
    sys.exit(supervised_server.run(_make_server))
