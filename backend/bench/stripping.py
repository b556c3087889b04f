"""What it takes to remove metadata from an upload while it arrives."""

from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

import httpx

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.imaging.formats import ImageType
from app.imaging.stripping.strippers import STRIPPERS
from bench import servers
from bench.forms import form
from bench.host import Host
from bench.images import ImageSpec
from bench.quota import removing
from bench.site import Site
from bench.work import Contenders, get, rate_of, require
from bench.wrk import Load
from testkit import samples

_ANSWER: Final = range(200, 2_000)
"""Bytes of an answer that describes a new image."""
_SIDEWAYS: Final = 6
"""The orientation that is kept."""


@contextmanager
def upload(site: Site, spec: ImageSpec) -> Iterator[Contenders]:
    """Upload a JPEG with Exif and a thumbnail in it, with its metadata and without.

    Beforehand, see that what is stored is what it should be.
    """
    content = _photograph(spec)
    stripper = STRIPPERS[ImageType.JPEG]()
    stripped = stripper.feed(content) + stripper.finish()
    require(len(stripped) < len(content), "there is nothing to strip")
    with site.fresh_data() as data, servers.service(data) as server:
        host, contenders = Host(data), {}
        for name, strips, stored in (("stripped", True, stripped), ("as sent", False, content)):
            body, content_type = form(content, strip_metadata=strips)
            url = server.url + UPLOAD_PATH
            headers = {"Content-Type": content_type}
            added = httpx.post(url, content=body, headers=headers, trust_env=False)
            require(added.status_code == httpx.codes.CREATED, f"{url} sent no 201")
            file = f"{server.url}{IMAGES_PATH}/{added.json()['id']}/file"
            require(get(file).content == stored, f"{file} is not {name}")
            post = ("send", site.write(f"post-{name}-{spec.size}", body), "POST", content_type)
            contenders[name] = removing(host, rate_of(Load(url, post, answer_bytes=_ANSWER)))
        yield Contenders(contenders)


def _photograph(spec: ImageSpec) -> bytes:
    """Make an image with Exif, of which most is a thumbnail, as cameras write it."""
    exif = samples.segment(0xE1, samples.exif(_SIDEWAYS, thumbnail=samples.jpeg(160, 120)))
    content = spec.content(Random(spec.size), room=len(exif))
    return content[:2] + exif + content[2:]
