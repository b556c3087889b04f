"""Thumbnails: what rendering takes from uploads, how soon one is ready, how fast it is sent."""

import math
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from random import Random
from typing import Final

import httpx

from app.api.images.paths import UPLOAD_PATH
from app.imaging.formats import ImageType
from bench import servers
from bench.forms import form
from bench.host import Host
from bench.images import ImageSpec
from bench.reads import rates
from bench.rendering import write_image
from bench.servers import Server
from bench.site import SMALL, Site
from bench.work import TIMEOUT, Contender, Contenders, Sample, get, rate_of, require
from bench.wrk import Load

BOUND: Final = "2 s"
TIMES: Final = 5
"""As long as other runs: seconds are uploads here, and one of twenty is looked at."""
SIZE: Final = 300

_ANSWER: Final = range(200, 2_500)
"""Bytes of an answer that describes a new image."""
_POLL_SECONDS: Final = 0.02
_QUEUED: Final = "SELECT count(*) FROM procrastinate_jobs WHERE status = 'todo'"


@contextmanager
def upload(site: Site, spec: ImageSpec) -> Iterator[Contenders]:
    """Upload to a service with a worker that cannot keep up, and to one that renders nothing.

    Each run has a new service, for a backlog would go on being rendered beside the other's runs.
    """
    content = spec.content(Random(spec.size))
    body, content_type = form(content)
    post = ("send", site.write(f"post-{spec.size}", body), "POST", content_type)

    def of(*, renders: bool) -> Contender:
        def measure(seconds: float) -> Sample:
            with site.fresh_data() as data, servers.service(data, renders=renders) as server:
                if renders:
                    get_thumbnail(upload_to(server, content))  # the worker has started
                sample = rate_of(Load(server.url + UPLOAD_PATH, post, answer_bytes=_ANSWER))(
                    seconds
                )
                if renders:
                    [(queued,)] = Host(data).execute(_QUEUED)
                    require(queued > 1, "the worker has kept up with the uploads")
            return sample

        return measure

    yield Contenders({"rendering": of(renders=True), "no rendering": of(renders=False)})


@contextmanager
def ready(site: Site) -> Iterator[Contenders]:
    """Upload a photograph of 12 megapixels each second, and wait for its thumbnail."""
    with site.fresh_data() as data, servers.service(data, renders=True) as server:
        file = data / "photograph.jpg"
        write_image(file, 4000, 3000, Q=90)
        content = file.read_bytes()
        get_thumbnail(upload_to(server, content))  # its processes have started

        def of(wait: Callable[[str], object]) -> Contender:
            def seconds_until_ready() -> float:
                url = upload_to(server, content)
                begin = time.monotonic()
                wait(url)
                return time.monotonic() - begin

            def measure(seconds: float) -> Sample:
                with ThreadPoolExecutor() as pool:
                    begin = time.monotonic()
                    waits = []
                    for number in range(round(TIMES * seconds)):
                        time.sleep(max(0.0, begin + number - time.monotonic()))
                        waits.append(pool.submit(seconds_until_ready))
                    taken = sorted(done.result() for done in waits)
                return {
                    "p95 s": taken[math.ceil(0.95 * len(taken)) - 1],
                    "p50 s": taken[len(taken) // 2],
                }

            return measure

        yield Contenders(
            {
                "asked for at once": of(get_thumbnail),
                "named by the row": of(_await_rendition),
                BOUND: lambda _: {"p95 s": 2.0, "p50 s": 2.0},
            }
        )


@contextmanager
def download(site: Site) -> Iterator[Contenders]:
    """Ask for one thumbnail again and again, and for files."""
    with site.fresh_data() as data, servers.service(data, renders=True) as server:
        file = data / "photograph.jpg"
        write_image(file, 2448, 1632)
        photograph = upload_to(server, file.read_bytes())
        size = len(get_thumbnail(photograph))
        same_size = ImageSpec(ImageType.JPEG, size)
        yield Contenders(
            rates({"thumbnail": f"{photograph}/thumbnails/{SIZE}"}, range(size, 2 * size))
            | _files(server, {"file 42 KB": SMALL, "file of its size": same_size})
        )


def _files(server: Server, specs: dict[str, ImageSpec]) -> dict[str, Contender]:
    contenders: dict[str, Contender] = {}
    for name, spec in specs.items():
        url = upload_to(server, spec.content(Random())) + "/file"
        contenders |= rates({name: url}, range(spec.size, 2 * spec.size))
    return contenders


def upload_to(server: Server, content: bytes) -> str:
    """Upload an image, and return its address."""
    body, content_type = form(content)
    answer = httpx.post(
        server.url + UPLOAD_PATH,
        content=body,
        headers={"Content-Type": content_type},
        trust_env=False,
        timeout=TIMEOUT,
    )
    require(answer.status_code == httpx.codes.CREATED, f"{server.url} sent no 201")
    return str(answer.json()["url"]).removesuffix("/file")


def get_thumbnail(image: str) -> bytes:
    """Ask for a thumbnail, again while it is not ready, and return it."""
    end = time.monotonic() + TIMEOUT
    while not (answer := get(f"{image}/thumbnails/{SIZE}")).is_success:
        unavailable = answer.status_code == httpx.codes.SERVICE_UNAVAILABLE
        require(unavailable, f"{image} has no thumbnail: {answer.text}")
        require(time.monotonic() < end, f"{image} has no thumbnail after {TIMEOUT:g} seconds")
    return answer.content


def _await_rendition(image: str) -> None:
    """Wait until a row says that its image is rendered."""
    end = time.monotonic() + TIMEOUT
    while get(image).json()["placeholder"] is None:
        require(time.monotonic() < end, f"{image} is not rendered after {TIMEOUT:g} seconds")
        time.sleep(_POLL_SECONDS)
