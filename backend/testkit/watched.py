"""A service that is watched: by Prometheus with our rules, and its Alertmanager."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from testkit.daemons import lasting_port
from testkit.live import wait_until
from testkit.prometheus import (
    QUICKER,
    Alertmanager,
    Prometheus,
    running_alertmanager,
    running_prometheus,
)
from testkit.service import Service, make_checkout, starting_services

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


@contextmanager
def watched_service(
    folder: Path, *settings: str, data_dir: Path | None = None
) -> Iterator[Watched]:
    """Run all three; the rules' durations are shorter than they are (`testkit.prometheus`)."""
    address = f"127.0.0.1:{lasting_port()}"
    with starting_services(make_checkout(folder / "checkout")) as start:
        own_folder = data_dir or folder / "data"
        service = start(f"METRICS_ADDRESS={address}", *settings, data_dir=own_folder)
        service.wait_until_it_serves()
        with (
            running_alertmanager(folder) as manager,
            running_prometheus(folder, address, alertmanager=manager, quicker=QUICKER) as server,
        ):
            wait_until(lambda: server.value('up{job="image-host"}') == 1)
            wait_until(lambda: not server.firing())
            yield Watched(service, server, manager)
