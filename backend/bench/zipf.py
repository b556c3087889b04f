"""Replays requests for the metadata of a million images, by Zipf's law, with a cache and without.

    python -m bench.zipf --keep FOLDER

The image of rank n is asked for in proportion to 1 / n ** s. Printed is what was answered by the
cache, and what the database had to do: its statements and the rows that it returned. The share of
requests that are hits is compared with what the law gives for this rate: a row that is asked for
with the rate r is in the cache for the part r t / (1 + r t) of all requests for it, if t is the
TTL, because an entry expires however often it is used.
"""

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import accumulate, islice
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

from bench.__main__ import folder_of
from bench.cached_reads import ANSWER, CPU, OF_DATABASE, OF_REDIS, Pair, paths_of
from bench.site import MILLION, Site
from bench.work import RATE, get
from bench.wrk import Load

EXPONENT: Final = 1.0
TTL_SECONDS: Final = 60
"""Also how long each run takes, after as long a time in which the cache fills."""
CONNECTIONS: Final = 4
"""Of many, each statement would read what some of them miss."""
MOST_RATE: Final = 8_000
"""Requests a second for which paths are written."""
STATISTICS_SECONDS: Final = 11
"""After so long without a request, PostgreSQL has counted all of it."""

_STATEMENTS: Final = "SELECT xact_commit FROM pg_stat_database WHERE datname = current_database()"
_ROWS: Final = "SELECT idx_tup_fetch FROM pg_stat_user_tables WHERE relname = 'images'"
_IDS: Final = "SELECT id FROM images ORDER BY md5(id::text)"


def main() -> int:
    """Replay, and print what was seen; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.zipf", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="as for `make bench`")
    parser.add_argument("--exponent", type=float, default=EXPONENT, help=f"s ({EXPONENT:g})")
    parser.add_argument("--ttl", type=int, default=TTL_SECONDS, help=f"seconds ({TTL_SECONDS})")
    options = parser.parse_args()
    weights = [1 / rank**options.exponent for rank in range(1, MILLION + 1)]
    with folder_of(options.keep) as folder, ExitStack() as opened:
        site = Site(folder, opened)
        pair = opened.enter_context(Pair.started(site, options.ttl))
        requests = _draw([one for (one,) in site.large_host.execute(_IDS)], weights)
        for name in pair.services:
            count = _replay(pair, name, site, requests, options.ttl)
            if name == "Redis":
                expected = expected_hits(weights, count)
                print(f"The law gives {expected:.1%} hits for so many requests in a TTL.")
    return 0


def _draw(ids: list[UUID], weights: list[float]) -> Iterator[UUID]:
    """Draw images for ever, each time anew."""
    chance = Random(2026)
    sums = list(accumulate(weights))
    while True:
        yield from chance.choices(ids, cum_weights=sums, k=10_000)


def _replay(pair: Pair, name: str, site: Site, requests: Iterator[UUID], ttl: int) -> float:
    """Let the cache fill, then count for the time of one TTL; return how many requests it had."""
    server = pair.services[name]

    def load() -> Load:
        paths = paths_of(list(islice(requests, MOST_RATE * ttl)))
        replay = ("replay", site.write("paths-zipf", paths))
        return Load(server.url, replay, connections=CONNECTIONS, answer_bytes=ANSWER)

    def counted() -> tuple[int, ...]:
        time.sleep(STATISTICS_SECONDS)
        cache = get(f"{server.url}/health/ready").json().get("cache", {})
        [(statements,)], [(rows,)] = (site.large_host.execute(one) for one in (_STATEMENTS, _ROWS))
        return statements, rows, cache.get("hits", 0), cache.get("misses", 0)

    pair.measure(name, load(), ttl)
    next_load = load()
    before = counted()
    sample = pair.measure(name, next_load, ttl)
    statements, rows, hits, misses = (b - a for a, b in zip(before, counted(), strict=True))
    print(
        f"{name}: {sample[RATE]:,.0f} requests/s; processor time of each: {sample[CPU]:.0f} us of "
        f"service and database, {sample[OF_DATABASE]:.0f} of it the database, and "
        f"{sample[OF_REDIS]:.0f} of Redis. Of {sample[RATE] * ttl:,.0f} requests in {ttl} s: "
        f"{statements:,} statements, {rows:,} rows read, {hits:,} hits, {misses:,} misses"
    )
    return sample[RATE] * ttl


def expected_hits(weights: list[float], requests: float) -> float:
    """Return the share of hits if so many requests come within one TTL."""
    total = sum(weights)
    each = (weight / total for weight in weights)
    return sum(part * requests * part / (1 + requests * part) for part in each)


if __name__ == "__main__":
    sys.exit(main())
