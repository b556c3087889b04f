"""Reads: downloads, metadata, the list."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Final
from uuid import UUID

import httpx

from app.api.images.cursor import encode_cursor
from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.domain.image import Position
from bench import servers
from bench.images import ImageSpec
from bench.site import SMALL, Site
from bench.work import Contender, Contenders, Sample, get, rate_of, require
from bench.wrk import CONNECTIONS, Load

_PAGE: Final = range(4_000, 16_000)
"""Bytes of an answer that lists 20 images."""


@contextmanager
def download(site: Site, spec: ImageSpec, connections: int = CONNECTIONS) -> Iterator[Contenders]:
    """Ask for one image again and again, and see beforehand that all send its bytes."""
    key = site.host.keys(spec)[0]
    path = f"{key[:2]}/{key}"
    urls = {
        "service": service_url(site, key) + "/file",
        "usual way": usual_url(site, key) + "/file",
    }
    limits = {
        "FileResponse without row": f"{site.references.url}/file?path={site.host.images / path}"
    }
    if servers.has_nginx():
        limits["nginx sendfile"] = f"{site.nginx.url}/{path}"
    content = (site.host.images / path).read_bytes()
    for url in (*urls.values(), *limits.values()):
        require(get(url).content == content, f"{url} sent other bytes")
    yield Contenders(rates(urls, whole(spec), connections), rates(limits, whole(spec), connections))


@contextmanager
def download_hot(site: Site) -> Iterator[Contenders]:
    """Ask for the image of 42 KB, and for the most that FastAPI can answer."""
    with download(site, SMALL) as contenders:
        yield Contenders(contenders.repeated | bare(site), contenders.once)


@contextmanager
def download_spread(site: Site) -> Iterator[Contenders]:
    """Ask for files at random, each as often as any other; all are in the page cache."""
    keys = site.host.keys(SMALL)
    for url in (service_url(site, keys[-1]), usual_url(site, keys[-1])):
        content = (site.host.images / keys[-1][:2] / keys[-1]).read_bytes()
        require(get(f"{url}/file").content == content, f"{url}/file sent other bytes")
    for key in keys:  # into the page cache, where the hot image is too
        (site.host.images / key[:2] / key).read_bytes()
    yield Contenders(over_all_images(site, "/file", keys, answer_bytes=whole(SMALL)))


@contextmanager
def conditional(site: Site) -> Iterator[Contenders]:
    """Ask whether the image has changed, as a browser that has it does."""
    url = service_url(site, site.host.keys(SMALL)[0]) + "/file"
    headers = {"If-None-Match": get(url).headers["etag"]}
    answer = get(url, headers)
    require(answer.status_code == httpx.codes.NOT_MODIFIED, f"{url} sent no 304")
    load = Load(url, headers=headers, answer_bytes=range(1, 1000))
    yield Contenders({"service": rate_of(load)} | bare(site))


@contextmanager
def metadata(site: Site) -> Iterator[Contenders]:
    """Ask for rows at random."""
    keys = site.host.keys(SMALL)
    for url in (service_url(site, keys[0]), usual_url(site, keys[0])):
        require(get(url).json()["id"] == str(id_of(keys[0])), f"{url} answered with another image")
    yield Contenders(over_all_images(site, "", keys, answer_bytes=range(200, 1000)))


@contextmanager
def list_pages(site: Site) -> Iterator[Contenders]:
    """Ask for the first page of a million images, and for one in the middle."""
    query = "SELECT created_at, id FROM images ORDER BY 1 DESC, 2 DESC OFFSET 499999 LIMIT 1"
    with servers.service(site.large_host.data) as server:
        position = Position(*site.large_host.execute(query)[0])
        first = f"{server.url}{IMAGES_PATH}?limit=20"
        deep = f"{first}&cursor={encode_cursor(position)}"
        for page in (first, deep):
            require(len(get(page).json()["items"]) == 20, f"{page} is no page of 20")
        yield Contenders(rates({"page at row 500,000": deep, "first page": first}, _PAGE))


@contextmanager
def workers(site: Site) -> Iterator[Contenders]:
    """Ask a service of one worker and one of two for the same image."""
    content = SMALL.content(Random())
    with site.fresh_service() as one, site.fresh_service(WORKERS="2") as two:
        urls = {"2 workers": two.url, "1 worker": one.url}
        for name, url in urls.items():
            answer = httpx.post(url + UPLOAD_PATH, files={"file": content}, trust_env=False)
            urls[name] = answer.json()["url"]
        yield Contenders(rates(urls, whole(SMALL)))


@contextmanager
def start(site: Site) -> Iterator[Contenders]:
    """Start the service over a million images, and over none, until it says that it is ready."""

    def started(data: Path) -> Contender:
        def measure(_: float) -> Sample:
            with servers.service(data) as server:
                return {"s": server.start_seconds}

        return measure

    with site.fresh_data() as data:
        empty = started(data)
        empty(0)  # makes the database
        yield Contenders({"1,000,000 images": started(site.large_host.data), "no images": empty})


def over_all_images(
    site: Site, suffix: str, keys: list[str], answer_bytes: range
) -> dict[str, Contender]:
    """Make contenders that are asked for images at random."""
    contenders = {}
    for name, server, url_of in (
        ("service", site.service, service_url),
        ("usual way", site.references, usual_url),
    ):
        paths = [url_of(site, key).removeprefix(server.url) + suffix for key in keys]
        file = site.write(f"paths-{name.split()[0]}", "\n".join(paths))
        load = Load(server.url, ("paths", file), answer_bytes=answer_bytes)
        contenders[name] = rate_of(load)
    return contenders


def bare(site: Site) -> dict[str, Contender]:
    """Make the contender that only answers."""
    return {"bare answer": rate_of(Load(f"{site.references.url}/bare"))}


def rates(
    urls: Mapping[str, str], answer_bytes: range, connections: int = CONNECTIONS
) -> dict[str, Contender]:
    """Make contenders that are each asked for one address."""
    return {
        name: rate_of(Load(url, connections=connections, answer_bytes=answer_bytes))
        for name, url in urls.items()
    }


def whole(spec: ImageSpec) -> range:
    """Return the bytes that a whole answer may take; wrk counts those cut off at its end."""
    return range(spec.size, 2 * spec.size)


def service_url(site: Site, key: str) -> str:
    """Name an image of the service."""
    return f"{site.service.url}{IMAGES_PATH}/{id_of(key)}"


def usual_url(site: Site, key: str) -> str:
    """Name the same image of the usual way."""
    return f"{site.references.url}/images/{id_of(key)}"


def id_of(key: str) -> UUID:
    """Return the id of an image from its storage key."""
    return UUID(key.partition(".")[0])
