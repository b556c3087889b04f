"""What a row of the table consists of."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Final

import httpx

from bench import wrk
from bench.site import Site
from bench.wrk import BenchmarkFailed, Load

RATE: Final = "req/s"
CORES: Final = "cores of wrk"
REQUESTS: Final = "requests"
WARM_UP_SECONDS: Final = 1
TIMEOUT: Final = 60.0
"""Seconds until an answer."""

Sample = Mapping[str, float]
"""What one run of a contender gave, by unit."""
Contender = Callable[[float], Sample]
"""Runs for so many seconds."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two contenders by one unit: `measured` as a ratio to `reference`."""

    measured: str
    reference: str
    at_least: float | None = None
    at_most: float | None = None
    unit: str = RATE


@dataclass(frozen=True, slots=True)
class Contenders:
    """What takes part in a work."""

    repeated: dict[str, Contender]
    """Run in turn, in every round."""
    once: dict[str, Contender] = field(default_factory=dict)
    """Limits, for orientation: run once, after the rounds, unless `--only` names works."""


@dataclass(frozen=True, slots=True)
class Work:
    """One kind of work."""

    name: str
    """For `--only`."""
    title: str
    open: Callable[[Site], AbstractContextManager[Contenders]]
    comparisons: tuple[Comparison, ...]


def rate_of(load: Load) -> Contender:
    """Measure how much of a load is served, after a warm-up."""

    def measure(seconds: float) -> Sample:
        wrk.run(load, WARM_UP_SECONDS)
        seen = wrk.run(load, seconds)
        return {
            RATE: seen.rate,
            "p50 ms": seen.p50,
            "p99 ms": seen.p99,
            CORES: seen.cores,
            REQUESTS: seen.requests,
        }

    return measure


def get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    """Ask once, whatever proxy the developer has set."""
    return httpx.get(url, headers=headers, trust_env=False, timeout=TIMEOUT)


def require(condition: object, otherwise: str) -> None:
    """See that what is measured is what the table says.

    Raises:
        BenchmarkFailed: If it is not.
    """
    if not condition:
        raise BenchmarkFailed(otherwise)
