"""Metadata of a million images with a cache against without: rate, and processor time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final, Self

import psutil

from app.api.images.paths import IMAGES_PATH
from app.database.embedded import embedded_postgres
from bench import servers, wrk
from bench.servers import Server
from bench.site import Site
from bench.work import RATE, WARM_UP_SECONDS, Contender, Contenders, Sample
from bench.wrk import Load
from testkit.valkey import cache_server

HOT_IMAGES: Final = 10_000
"""Different images that are asked for, of a million."""
CPU: Final = "CPU us"
"""Microseconds of processor time a request, of the service and the database together."""
OF_DATABASE: Final = "CPU us of database"
OF_REDIS: Final = "CPU us of Redis"
ANSWER: Final = range(200, 2_500)
"""Bytes of an answer that describes an image."""

_FILL_SECONDS: Final = 15.0
_TTL_SECONDS: Final = 3600
"""Longer than the work takes, so that nothing that is hot expires."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two services over one database of a million images, of which one has a cache."""

    services: Mapping[str, Server]
    """By the names of contenders."""
    database: psutil.Process
    redis: psutil.Process

    @classmethod
    @contextmanager
    def started(cls, site: Site, ttl_seconds: int) -> Iterator[Self]:
        """Start both, with one server process each."""
        data = site.large_host.data
        with (
            embedded_postgres(data / "postgres") as url,
            cache_server(data.parent) as cache,
            servers.service(data, DATABASE_URL=url.render_as_string()) as without,
            servers.service(
                data,
                DATABASE_URL=url.render_as_string(),
                REDIS_URL=cache.url,
                CACHE_TTL_SECONDS=str(ttl_seconds),
            ) as with_cache,
        ):
            first_process = int((data / "postgres/postmaster.pid").read_text().split()[0])
            yield cls(
                {"Redis": with_cache, "no cache": without},
                psutil.Process(first_process),
                psutil.Process(cache.pid),
            )

    def measure(self, name: str, load: Load, seconds: float) -> Sample:
        """Ask one of the services, and return what the requests took of the machine."""
        processes = psutil.Process(self.services[name].pid), self.database, self.redis
        before = [_seconds(one) for one in processes]
        seen = wrk.run(load, seconds)
        after = [_seconds(one) for one in processes]
        own, database, redis = (
            1e6 * (b - a) / seen.requests for a, b in zip(before, after, strict=True)
        )
        return {
            RATE: seen.rate,
            "p50 ms": seen.p50,
            "p99 ms": seen.p99,
            CPU: own + database,
            OF_DATABASE: database,
            OF_REDIS: redis,
        }


@contextmanager
def metadata(site: Site, connections: int) -> Iterator[Contenders]:
    """Ask for some rows of a million, which are all in the cache.

    Of many connections the requests share statements, of few each has nearly its own.
    """
    statement = "SELECT id FROM images ORDER BY random() LIMIT $1"
    with Pair.started(site, _TTL_SECONDS) as pair:
        ids = [image_id for (image_id,) in site.large_host.execute(statement, HOT_IMAGES)]
        file = site.write("paths-cached", paths_of(ids))
        loads = {
            name: Load(server.url, ("paths", file), connections=connections, answer_bytes=ANSWER)
            for name, server in pair.services.items()
        }
        fill = Load(pair.services["Redis"].url, ("replay", file), answer_bytes=ANSWER)
        wrk.run(fill, _FILL_SECONDS)

        def of(name: str) -> Contender:
            def measure(seconds: float) -> Sample:
                wrk.run(loads[name], WARM_UP_SECONDS)
                return pair.measure(name, loads[name], seconds)

            return measure

        yield Contenders({name: of(name) for name in loads})


def paths_of(ids: Sequence[object]) -> str:
    """Return the paths of the metadata of images, one a line."""
    return "\n".join(f"{IMAGES_PATH}/{one}" for one in ids)


def _seconds(process: psutil.Process) -> float:
    """Return the processor time of a process and of all that it started, in seconds."""
    family = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:4]) for one in family)
