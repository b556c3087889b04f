"""Downloads of large files: how many, in how much memory, and what small ones feel of them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random

import httpx

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.imaging.formats import ImageType
from bench import reads, servers
from bench.images import ImageSpec
from bench.memory import CLIENTS, peak_with_children
from bench.site import HUGE, SMALL, Site
from bench.streams import downloading
from bench.work import TIMEOUT, Comparison, Contender, Contenders, Sample, get, rate_of, require
from bench.writes import LINE_SPEED, LONGER, PAUSE
from bench.wrk import CONNECTIONS, Load

NGINX = "nginx sendfile"
DOWNLOADS = 16


@contextmanager
def download(site: Site, spec: ImageSpec, connections: int = CONNECTIONS) -> Iterator[Contenders]:
    """Ask for one image again and again; in turn with nginx, which sends the same file."""
    with reads.download(site, spec, connections) as contenders:
        limits = contenders.once
        nginx = {NGINX: limits.pop(NGINX)} if NGINX in limits else {}
        yield Contenders(contenders.repeated | nginx, limits)


def against(usual_at_least: float, nginx_at_least: float) -> tuple[Comparison, ...]:
    """Return what downloads are compared with; nginx where it is installed."""
    usual = Comparison("service", "usual way", usual_at_least)
    if not servers.has_nginx():
        return (usual,)
    ceiling = Comparison(NGINX, "usual way")
    return usual, Comparison("service", NGINX, nginx_at_least), ceiling


@contextmanager
def memory(site: Site) -> Iterator[Contenders]:
    """Download a large file, or a small one, from many clients at once, of a new service."""

    def of(size: int) -> Contender:
        def measure(_: float) -> Sample:
            content = ImageSpec(ImageType.JPEG, size).content(Random())
            with site.fresh_service() as server:
                added = httpx.post(
                    server.url + UPLOAD_PATH, files={"file": content}, trust_env=False
                )
                url = added.json()["url"]

                def fetch(_number: int) -> int:
                    with httpx.stream("GET", url, trust_env=False, timeout=TIMEOUT) as answer:
                        return sum(len(block) for block in answer.iter_raw())

                with ThreadPoolExecutor(CLIENTS) as pool:
                    taken = set(pool.map(fetch, range(2 * CLIENTS)))
                require(taken == {size}, f"downloads had {taken} bytes instead of {size}")
                return {"MiB": peak_with_children(server.pid)}

        return measure

    yield Contenders({"20 MiB each": of(HUGE.size), "100 KiB each": of(100 << 10)})


@contextmanager
def latency(site: Site) -> Iterator[Contenders]:
    """Ask for small files beside downloads of large ones, as `writes.latency` beside uploads."""
    keys = site.host.keys(SMALL)
    paths = [f"{IMAGES_PATH}/{reads.id_of(key)}/file" for key in keys]
    file = site.write("paths-beside", "\n".join(paths))
    load = Load(site.service.url, ("paths", file, PAUSE), answer_bytes=reads.whole(SMALL))
    large = reads.service_url(site, site.host.keys(HUGE)[0]) + "/file"
    require(len(get(large).content) == HUGE.size, f"{large} sent other bytes")
    quiet = rate_of(load)

    def beside(seconds: float) -> Sample:
        with downloading(large, clients=DOWNLOADS, bytes_per_second=LINE_SPEED):
            return quiet(LONGER * seconds)

    yield Contenders(
        {"beside 16 downloads": beside, "no downloads": lambda seconds: quiet(LONGER * seconds)}
    )
