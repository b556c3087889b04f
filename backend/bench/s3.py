"""Works over S3: the service on Ceph, against the client of S3 called directly on the same Ceph.

Ceph keeps objects on the disk (bluestore), as the service keeps rows: in memory it would promise
less. All of it, wrk and the database included, shares the cores.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final
from uuid import uuid4

import uvloop

from app.api.images.paths import UPLOAD_PATH
from app.config.storage_url import parse_storage_url
from app.imaging.formats import ImageType
from app.storage.s3.backend import CHECK
from app.storage.s3.budget import BUDGET
from app.storage.s3.checksums import take
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from bench.forms import form
from bench.images import ImageSpec
from bench.memory import CLIENTS, peak_while_uploading
from bench.reads import whole
from bench.servers import Server
from bench.site import Site
from bench.thumbnails import upload_to
from bench.work import RATE, WARM_UP_SECONDS, Contender, Contenders, Sample, get, rate_of, require
from bench.wrk import Load
from testkit.ceph import Ceph, Store, running_ceph

DIRECTLY: Final = "client directly"
BOUND: Final = "100 KiB each, and the byte budget"

_ANSWER: Final = range(200, 2_500)
"""Bytes of an answer that describes a new image."""
_TYPE: Final = "image/jpeg"

Ask = Callable[[S3Client], Awaitable[None]]
"""Does once, directly, what clients of the service do."""


@contextmanager
def upload(site: Site, spec: ImageSpec) -> Iterator[Contenders]:
    """Upload one image again and again; each run has a new store."""
    content = spec.content(Random(spec.size))
    body, content_type = form(content)
    post = ("send", site.write(f"post-{spec.size}", body), "POST", content_type)

    async def put(client: S3Client) -> None:
        checksum = sha256()
        await take([content], checksum.update)
        await client.put_object(f"{uuid4().hex}.jpg", [content], _TYPE, checksum.digest())

    def by_service(seconds: float) -> Sample:
        with _store() as (ceph, bucket), _service(site, ceph, bucket) as service:
            upload_to(service, content)
            load = Load(service.url + UPLOAD_PATH, post, answer_bytes=_ANSWER)
            return rate_of(load)(seconds)

    def directly(seconds: float) -> Sample:
        with _store() as (ceph, bucket):
            return _rate(ceph, bucket, put, seconds)

    yield Contenders({"service": by_service, DIRECTLY: directly})


@contextmanager
def download(site: Site, spec: ImageSpec) -> Iterator[Contenders]:
    """Ask for one image again and again."""
    content = spec.content(Random(spec.size))
    with _store() as (ceph, bucket), _service(site, ceph, bucket) as service:
        file = upload_to(service, content) + "/file"
        require(get(file).content == content, f"{file} sent other bytes than were uploaded")
        (key,) = (key for key in ceph.keys(bucket) if not key.startswith("."))

        async def read(client: S3Client) -> None:
            body = await client.get_object(key)
            left = body.size
            while block := await body.read():
                left -= len(block)
            await body.close()
            require(not left, "an object was not sent whole")

        yield Contenders(
            {
                "service": rate_of(Load(file, answer_bytes=whole(spec))),
                DIRECTLY: lambda seconds: _rate(ceph, bucket, read, seconds),
            }
        )


@contextmanager
def memory(site: Site) -> Iterator[Contenders]:
    """Upload large files and small ones, to a new service each time; the store keeps up."""

    def of(size: int, more: int = 0) -> Contender:
        def measure(_: float) -> Sample:
            with _store("memstore") as (ceph, bucket), _service(site, ceph, bucket) as service:
                peak = peak_while_uploading(service, ImageSpec(ImageType.JPEG, size))
            return {"MiB": peak + more / (1 << 20)}

        return measure

    yield Contenders({"20 MiB each": of(20 << 20), BOUND: of(100 << 10, BUDGET)})


@contextmanager
def _store(store: Store = "bluestore") -> Iterator[tuple[Ceph, str]]:
    with TemporaryDirectory() as folder, running_ceph(Path(folder), store) as ceph:
        yield ceph, ceph.make_bucket()


@contextmanager
def _service(site: Site, ceph: Ceph, bucket: str) -> Iterator[Server]:
    with site.fresh_service(renders=False, **ceph.settings(bucket)) as service:
        yield service


def _rate(ceph: Ceph, bucket: str, ask: Ask, seconds: float) -> Sample:
    """Ask `CLIENTS` at a time, after a warm-up."""

    async def measure() -> float:
        credentials = Credentials(ceph.access_key, ceph.secret_key)
        client = S3Client(parse_storage_url(ceph.url(bucket)), credentials, CLIENTS)
        try:
            await client.probe_sha256(CHECK)
            await _ask_for(client, ask, WARM_UP_SECONDS)
            begin = time.monotonic()
            asked = await _ask_for(client, ask, seconds)
            return asked / (time.monotonic() - begin)
        finally:
            await client.close()

    return {RATE: uvloop.run(measure())}


async def _ask_for(client: S3Client, ask: Ask, seconds: float) -> int:
    end = time.monotonic() + seconds
    asked = count()

    async def repeat() -> None:
        while time.monotonic() < end:
            await ask(client)
            next(asked)

    await asyncio.gather(*(repeat() for _ in range(CLIENTS)))
    return next(asked)
