"""What happens to a service: kills and stops of what it consists of."""

from collections.abc import Callable, Sequence
from random import Random

from testkit.torture.cache_faults import CacheFaults
from testkit.torture.front_faults import FrontFaults
from testkit.torture.process_faults import ProcessFaults
from testkit.torture.service import Service
from testkit.torture.store_faults import StoreFaults

Kill = Callable[[], None]
Stop = Callable[[float], None]


class Faults:
    """Kills and stops, in rounds: in each all kinds in any order, some of them repeatedly.

    Args:
        service: What it happens to.
        chance: Chooses.
        pauses: Seconds for which something is stopped.
    """

    def __init__(self, service: Service, chance: Random, pauses: Sequence[float]) -> None:
        self._chance = chance
        self._pauses = pauses
        processes = ProcessFaults(service, chance)
        self._all_kills: list[Kill] = [*processes.kills]
        self._all_stops: list[Stop] = [*processes.stops]
        if service.cache:
            cache = CacheFaults(service, service.cache, chance)
            self._all_kills += cache.kills
            self._all_stops += cache.stops
        if service.front:
            front = FrontFaults(service.front)
            self._all_kills += front.kills
            self._all_stops += front.stops
        if service.store:
            store = StoreFaults(service.store, chance)
            self._all_kills += store.kills
            self._all_stops += store.stops
        self._kills: list[Kill] = []
        self._stops: list[Stop] = []

    def kill(self) -> str:
        """Kill something; return what."""
        if not self._kills:
            self._kills = self._chance.sample(self._all_kills, len(self._all_kills))
        fault = self._kills.pop()
        fault()
        return fault.__name__

    def stop(self) -> str:
        """Stop something for a while; return what, and for how long."""
        if not self._stops:
            self._stops = self._chance.sample(self._all_stops, len(self._all_stops))
        fault, seconds = self._stops.pop(), self._chance.choice(self._pauses)
        fault(seconds)
        return f"{fault.__name__} for {seconds} s"
