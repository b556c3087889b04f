"""Writes: uploads, the memory they take, and what downloads feel of them."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import httpx

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.imaging.formats import ImageType
from bench import servers, wrk
from bench.forms import form
from bench.images import ImageSpec
from bench.memory import peak_while_uploading
from bench.reads import id_of, service_url, whole
from bench.site import HUGE, SMALL, Site
from bench.streams import uploading
from bench.work import (
    REQUESTS,
    WARM_UP_SECONDS,
    Contender,
    Contenders,
    Sample,
    get,
    rate_of,
    require,
)
from bench.wrk import Load

BARE: Final = "bare upload"
"""Of `bench.bare_upload`."""
_ANSWER: Final = range(200, 2_000)
"""Bytes of an answer that describes a new image."""

PAUSE: Final = "100"
"""Milliseconds between two downloads of a client, on average, where latency is measured."""
LONGER: Final = 2
"""Times as long as other runs, for one request of a hundred is what is looked at."""
UPLOADS: Final = 16
LINE_SPEED: Final = 5_000_000
"""Bytes a second that such an upload sends: a line of 40 Mbit/s."""


@contextmanager
def upload(site: Site, spec: ImageSpec, connections: int = wrk.CONNECTIONS) -> Iterator[Contenders]:
    """Upload one image again and again, and see beforehand that its bytes come back."""
    content = spec.content(Random(spec.size))
    body, content_type = form(content)
    post = ("send", site.write(f"post-{spec.size}", body), "POST", content_type)
    urls = {
        "service": (site.service.url + UPLOAD_PATH, site.service.url + IMAGES_PATH),
        "usual way": (f"{site.references.url}/images", f"{site.references.url}/images"),
        BARE: (f"{site.bare_upload.url}/images", f"{site.bare_upload.url}/images"),
    }
    for upload_to, images in urls.values():
        added = _send("POST", upload_to, body, content_type)
        require(added.status_code == httpx.codes.CREATED, f"{upload_to} sent no 201")
        file = f"{images}/{added.json()['id']}/file"
        require(get(file).content == content, f"{file} sent other bytes than were uploaded")
    site.remove_uploads()
    loads = {
        name: Load(url, post, connections=connections, answer_bytes=_ANSWER)
        for name, (url, _) in urls.items()
    }

    limits = {}
    if servers.has_nginx():
        put = ("send", site.write(f"put-{spec.size}", content), "PUT", "image/jpeg")
        url = f"{site.nginx.url}/put/image"
        require(_send("PUT", url, content, "image/jpeg").is_success, f"{url} took no image")
        limits["nginx PUT, no fsync"] = rate_of(Load(url, put, connections=connections))
    yield Contenders({name: stored(site, load) for name, load in loads.items()}, limits)


@contextmanager
def memory(site: Site) -> Iterator[Contenders]:
    """Upload large files and small ones, to a new service each time."""

    def of(size: int) -> Contender:
        def measure(_: float) -> Sample:
            with site.fresh_service() as server:
                return {"MiB": peak_while_uploading(server, ImageSpec(ImageType.JPEG, size))}

        return measure

    yield Contenders({"20 MiB each": of(20 << 20), "100 KiB each": of(100 << 10)})


@contextmanager
def latency(site: Site) -> Iterator[Contenders]:
    """Ask below what the service can do, so that waiting for one's turn is not what is measured."""
    keys = site.host.keys(SMALL)
    require(get(service_url(site, keys[0]) + "/file").is_success, "there is no download")
    paths = [f"{IMAGES_PATH}/{id_of(key)}/file" for key in keys]
    file = site.write("paths-latency", "\n".join(paths))
    downloads = Load(site.service.url, ("paths", file, PAUSE), answer_bytes=whole(SMALL))
    body, content_type = form(HUGE.content(Random()))
    post = ("send", site.write("post-latency", body), "POST", content_type)
    uploads = Load(site.service.url + UPLOAD_PATH, post, connections=UPLOADS)

    def beside_slow(seconds: float) -> Sample:
        with uploading(
            site.service, body, content_type, clients=UPLOADS, bytes_per_second=LINE_SPEED
        ):
            return quiet(LONGER * seconds)

    def beside_fast(seconds: float) -> Sample:
        with wrk.start(uploads, LONGER * seconds + 3 * WARM_UP_SECONDS) as process:
            time.sleep(WARM_UP_SECONDS)
            sample = quiet(LONGER * seconds)
            output, _ = process.communicate()
        wrk.judge(uploads, output)
        return sample

    quiet = rate_of(downloads)
    yield Contenders(
        {
            "beside 16 uploads": removing(site, beside_slow),
            "no uploads": lambda seconds: quiet(LONGER * seconds),
        },
        {"beside 16 at full speed": removing(site, beside_fast)},
    )


def removing(site: Site, measure: Contender) -> Contender:
    """Remove after each run what it uploaded."""

    def measure_and_remove(seconds: float) -> Sample:
        try:
            return measure(seconds)
        finally:
            site.remove_uploads()

    return measure_and_remove


def stored(site: Site, load: Load) -> Contender:
    """Measure how many uploads are acknowledged, see that all are there, and remove them."""
    measure = rate_of(load)

    def measure_and_count(seconds: float) -> Sample:
        try:
            sample = measure(seconds)
        finally:
            removed = site.remove_uploads()
        require(
            removed >= sample[REQUESTS],
            f"{load.url} acknowledged {sample[REQUESTS]} uploads and stored {removed}",
        )
        return sample

    return measure_and_count


def _send(method: str, url: str, body: bytes, content_type: str) -> httpx.Response:
    return httpx.request(
        method, url, content=body, headers={"Content-Type": content_type}, trust_env=False
    )
