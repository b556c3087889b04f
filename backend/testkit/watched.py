"""A service that is watched: by Prometheus with our rules, and its Alertmanager."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
from sqlalchemy.engine import URL

from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.prometheus import (
    QUICKER,
    Alertmanager,
    Prometheus,
    running_alertmanager,
    running_prometheus,
)
from testkit.service import IMAGES, Service, make_checkout, starting_services

WAIT_SECONDS = 120.0
"""How long an alert may take: what looks at an hour elsewhere looks at a minute."""


@dataclass
class Watched:
    service: Service
    prometheus: Prometheus
    alertmanager: Alertmanager

    def fires(self, *alerts: str) -> bool:
        """Return whether all of these fire, and Alertmanager has been told."""
        return set(alerts) <= self.prometheus.firing() & self.alertmanager.names()

    def wait_for(self, *alerts: str) -> None:
        """Wait until all of these fire."""
        wait_until(lambda: self.fires(*alerts), WAIT_SECONDS)

    def labels(self, alert: str) -> list[dict[str, Any]]:
        """Return the labels of each series of an alert that fires."""
        series = self.prometheus.query(f'ALERTS{{alertname="{alert}",alertstate="firing"}}')
        return [one["metric"] for one in series]


@contextmanager
def watched_service(
    folder: Path,
    *settings: str,
    database: URL | None = None,
    data_dir: Path | None = None,
    quicker: int = QUICKER,
) -> Iterator[Watched]:
    """Run all three; the rules' durations are shorter than they are (`testkit.prometheus`)."""
    metrics = f"127.0.0.1:{lasting_port()}"
    own = [f"DATABASE_URL={address(database)}"] if database else []
    with starting_services(make_checkout(folder / "checkout")) as start:
        own_folder = data_dir or folder / "data"
        service = start(f"METRICS_ADDRESS={metrics}", *own, *settings, data_dir=own_folder)
        with (
            running_alertmanager(folder) as manager,
            running_prometheus(folder, metrics, alertmanager=manager, quicker=quicker) as server,
        ):
            service.wait_until_it_serves()
            wait_until(lambda: server.value('up{job="image-host"}') == 1)
            wait_until(lambda: not server.firing())
            yield Watched(service, server, manager)


def address(database: URL) -> str:
    """Return what DATABASE_URL is for a database."""
    return database.set(drivername="postgresql").render_as_string(hide_password=False)


@contextmanager
def crowd(service: Service, people: int) -> Iterator[None]:
    """Let so many people ask for the list again and again during the block, whatever they get."""
    leaving = threading.Event()

    def ask() -> None:
        while not leaving.wait(0.1):
            with suppress(httpx.TransportError):  # a service that is overloaded closes connections
                httpx.get(f"{service.url}{IMAGES}", timeout=TIMEOUT)

    with ThreadPoolExecutor(people) as asking:
        for _ in range(people):
            asking.submit(ask)
        try:
            yield
        finally:
            leaving.set()


@contextmanager
def held_up(process: psutil.Process) -> Iterator[None]:
    """Let a process run for a part of each second only during the block, as a busy machine does."""
    over = threading.Event()

    def hold_up() -> None:
        while not over.wait(0.2):
            process.suspend()
            over.wait(1.3)
            process.resume()

    with ThreadPoolExecutor(1) as holding:
        held = holding.submit(hold_up)
        try:
            yield
        finally:
            over.set()
    held.result()
