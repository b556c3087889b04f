"""The rows of the table: what is measured, against what, and the goal.

A work opens its contenders, which are then run in turn, round after round.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from random import Random
from typing import Final
from uuid import UUID

import httpx

from app.api.cursor import encode_cursor
from app.api.dependencies import IMAGES_PATH
from app.api.upload import UPLOAD_PATH
from app.embedded import shared_postgres
from app.services.catalog import Position
from bench import seed, servers, wrk
from bench.forms import form
from bench.images import Picture
from bench.memory import peak_while_uploading
from bench.site import LARGE, SMALL, Site
from bench.wrk import BenchmarkFailed, Load

Sample = Mapping[str, float]
"""What one run of a contender gave, by unit."""
Contender = Callable[[float], Sample]
"""Runs for so many seconds."""

RATE: Final = "req/s"
_WARM_UP_SECONDS: Final = 1
_PAGE: Final = range(4_000, 16_000)
"""Bytes of an answer that lists 20 images."""


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
    """Limits, for orientation: run in the first round only."""


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
        wrk.run(load, _WARM_UP_SECONDS)
        seen = wrk.run(load, seconds)
        return {RATE: seen.rate, "p50 ms": seen.p50, "p99 ms": seen.p99}

    return measure


@contextmanager
def _download(site: Site, picture: Picture) -> Iterator[Contenders]:
    key = site.keys(picture)[0]
    path = f"{key[:2]}/{key}"
    urls = {
        "service": _service_url(site, key) + "/file",
        "usual way": _usual_url(site, key) + "/file",
    }
    limits = {"FileResponse without row": f"{site.references.url}/file?path={site.images / path}"}
    if servers.has_nginx():
        limits["nginx sendfile"] = f"{site.nginx.url}/{path}"
    content = (site.images / path).read_bytes()
    for url in (*urls.values(), *limits.values()):
        _require(_get(url).content == content, f"{url} sent other bytes")
    yield Contenders(
        _rates(urls, answer_bytes=_whole(picture)), _rates(limits, answer_bytes=_whole(picture))
    )


@contextmanager
def _download_hot(site: Site) -> Iterator[Contenders]:
    with _download(site, SMALL) as contenders:
        yield Contenders(contenders.repeated | _bare(site), contenders.once)


@contextmanager
def _download_spread(site: Site) -> Iterator[Contenders]:
    keys = site.keys(SMALL)
    for url in (_service_url(site, keys[-1]), _usual_url(site, keys[-1])):
        content = (site.images / keys[-1][:2] / keys[-1]).read_bytes()
        _require(_get(f"{url}/file").content == content, f"{url}/file sent other bytes")
    for key in keys:  # into the page cache, where the hot image is too
        (site.images / key[:2] / key).read_bytes()
    yield Contenders(_over_all_images(site, "/file", keys, answer_bytes=_whole(SMALL)))


@contextmanager
def _conditional(site: Site) -> Iterator[Contenders]:
    url = _service_url(site, site.keys(SMALL)[0]) + "/file"
    headers = {"If-None-Match": _get(url).headers["etag"]}
    answer = _get(url, headers)
    _require(answer.status_code == httpx.codes.NOT_MODIFIED, f"{url} sent no 304")
    load = Load(url, headers=headers, answer_bytes=range(1, 1000))
    yield Contenders({"service": rate_of(load)} | _bare(site))


@contextmanager
def _metadata(site: Site) -> Iterator[Contenders]:
    keys = site.keys(SMALL)
    for url in (_service_url(site, keys[0]), _usual_url(site, keys[0])):
        _require(_get(url).json()["id"] == str(_id_of(keys[0])), f"{url} told of another image")
    yield Contenders(_over_all_images(site, "", keys, answer_bytes=range(200, 1000)))


@contextmanager
def _upload(site: Site, picture: Picture) -> Iterator[Contenders]:
    content = picture.content(Random(picture.size))  # noqa: S311 - for variety
    body, content_type = form(content)
    post = ("send", site.write(f"post-{picture.size}", body), "POST", content_type)
    loads = {
        "service": Load(site.service.url + UPLOAD_PATH, post),
        "usual way": Load(f"{site.references.url}/images", post),
    }

    def removing(measure: Contender) -> Contender:
        def measure_and_remove(seconds: float) -> Sample:
            try:
                return measure(seconds)
            finally:
                site.remove_uploads()

        return measure_and_remove

    limits = {}
    if servers.has_nginx():
        put = ("send", site.write(f"put-{picture.size}", content), "PUT", "image/jpeg")
        limits["nginx PUT, no fsync"] = rate_of(Load(f"{site.nginx.url}/put/image", put))
    yield Contenders({name: removing(rate_of(load)) for name, load in loads.items()}, limits)


@contextmanager
def _list(site: Site) -> Iterator[Contenders]:
    with site.large_service() as server:
        query = "SELECT created_at, id FROM images ORDER BY 1 DESC, 2 DESC OFFSET 499999 LIMIT 1"
        with shared_postgres(site.large_host() / "postgres") as url:
            position = Position(*seed.fetch(url, query)[0])
        first = f"{server.url}{IMAGES_PATH}?limit=20"
        deep = f"{first}&cursor={encode_cursor(position)}"
        for page in (first, deep):
            _require(len(_get(page).json()["items"]) == 20, f"{page} is no page of 20")
        yield Contenders(_rates({"page at row 500,000": deep, "first page": first}, _PAGE))


@contextmanager
def _memory(site: Site) -> Iterator[Contenders]:
    def of(size: int) -> Contender:
        def measure(_: float) -> Sample:
            with site.fresh_service() as server:
                return {"MiB": peak_while_uploading(server, size)}

        return measure

    yield Contenders({"20 MiB each": of(20 << 20), "100 KiB each": of(100 << 10)})


@contextmanager
def _workers(site: Site) -> Iterator[Contenders]:
    content = SMALL.content(Random())  # noqa: S311 - for variety
    with site.fresh_service() as one, site.fresh_service(WORKERS="2") as two:
        urls = {"2 workers": two.url, "1 worker": one.url}
        for name, url in urls.items():
            answer = httpx.post(url + UPLOAD_PATH, files={"file": content}, trust_env=False)
            urls[name] = answer.json()["url"]
        yield Contenders(_rates(urls, _whole(SMALL)))


def _over_all_images(
    site: Site, suffix: str, keys: list[str], answer_bytes: range
) -> dict[str, Contender]:
    """Ask for images at random, all of them alike."""
    contenders = {}
    for name, server, url_of in (
        ("service", site.service, _service_url),
        ("usual way", site.references, _usual_url),
    ):
        paths = [url_of(site, key).removeprefix(server.url) + suffix for key in keys]
        file = site.write(f"paths-{name.split()[0]}", "\n".join(paths))
        load = Load(server.url, ("paths", file), answer_bytes=answer_bytes)
        contenders[name] = rate_of(load)
    return contenders


def _bare(site: Site) -> dict[str, Contender]:
    return {"bare answer": rate_of(Load(f"{site.references.url}/bare"))}


def _rates(urls: Mapping[str, str], answer_bytes: range) -> dict[str, Contender]:
    return {name: rate_of(Load(url, answer_bytes=answer_bytes)) for name, url in urls.items()}


def _whole(picture: Picture) -> range:
    """Tell what an answer with a whole picture may take; wrk counts those cut off at its end."""
    return range(picture.size, 2 * picture.size)


def _service_url(site: Site, key: str) -> str:
    return f"{site.service.url}{IMAGES_PATH}/{_id_of(key)}"


def _usual_url(site: Site, key: str) -> str:
    return f"{site.references.url}/images/{_id_of(key)}"


def _id_of(key: str) -> UUID:
    return UUID(key.partition(".")[0])


def _get(url: str, headers: Mapping[str, str] | None = None) -> httpx.Response:
    return httpx.get(url, headers=headers, trust_env=False)


def _require(condition: bool, otherwise: str) -> None:  # noqa: FBT001 - reads like an assertion
    if not condition:
        raise BenchmarkFailed(otherwise)


_USUAL: Final = partial(Comparison, "service", "usual way")
_BARE: Final = partial(Comparison, "service", "bare answer")

WORKS: Final = (
    Work(
        "download-hot",
        "download 42 KB, hot",
        _download_hot,
        (_USUAL(at_least=8), _BARE(at_least=0.6)),
    ),
    Work(
        "download-spread",
        "download 42 KB, over 100,000 images",
        _download_spread,
        (_USUAL(at_least=2.5),),
    ),
    Work(
        "download-large",
        "download 947 KB",
        partial(_download, picture=LARGE),
        (_USUAL(at_least=2),),
    ),
    Work("conditional", "conditional GET, 304", _conditional, (_BARE(at_least=0.7),)),
    Work(
        "metadata",
        "metadata by id, over 100,000 images",
        _metadata,
        (_USUAL(at_least=1.8),),
    ),
    Work(
        "upload-small",
        "upload 42 KB, durable",
        partial(_upload, picture=SMALL),
        (_USUAL(at_least=1.8),),
    ),
    Work(
        "upload-large",
        "upload 947 KB, durable",
        partial(_upload, picture=LARGE),
        (_USUAL(at_least=1.4),),
    ),
    Work(
        "list",
        "list of 20, of 1,000,000 images",
        _list,
        (Comparison("page at row 500,000", "first page", at_least=1 / 1.2),),
    ),
    Work(
        "memory",
        "peak RSS, 32 uploads at once",
        _memory,
        (Comparison("20 MiB each", "100 KiB each", at_most=1.25, unit="MiB"),),
    ),
    Work(
        "workers",
        "download 42 KB, hot, 2 workers",
        _workers,
        (Comparison("2 workers", "1 worker"),),
    ),
)
