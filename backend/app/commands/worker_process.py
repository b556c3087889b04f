"""One of the workers beside a service: `python -m app.commands.worker_process CHANNEL`.

The service's supervisor starts it, as it does `server_process`.
"""

import logging.config
import os
import signal
import socket
import sys
from typing import Final

from app.commands.runner import EXPECTED, explain
from app.commands.worker import take_jobs
from app.composition.observation import make_observer
from app.observability.logs import log_config
from app.runtime import signals
from app.server.supervised import Supervised, failure

NICENESS: Final = 19
"""Of a worker and its writer. Rendering processes take only what nobody else wants (ADR 39)."""


def main(channel: socket.socket) -> int:
    """Do jobs until SIGTERM, after all that answers clients."""
    os.nice(NICENESS)
    supervised = Supervised(channel)
    settings = supervised.settings
    logging.config.dictConfig(log_config(settings.log_format, settings.log_level))
    try:
        signals.run(_work(supervised))
    except EXPECTED as error:
        supervised.fail(explain(error))
        return 1
    except Exception as error:  # noqa: BLE001 - whatever it is, the supervisor reports it
        supervised.fail(failure(error))
        return 1
    return 0


async def _work(supervised: Supervised) -> None:
    stopping = signals.stop_event(signal.SIGTERM)
    supervised.heed()
    observer = make_observer(supervised.settings, supervised.place)
    await take_jobs(supervised.settings, stopping, supervised.beat, observer)


if __name__ == "__main__":
    sys.exit(main(socket.socket(fileno=int(sys.argv[1]))))
