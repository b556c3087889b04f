"""Quotas: what they cost an upload, and what others feel of an address that uses its own up."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from random import Random
from typing import Final

import httpx
from sqlalchemy.engine import URL

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.database.embedded import shared_postgres
from app.database.engine import Database
from bench import servers, wrk
from bench.forms import form
from bench.host import Host
from bench.servers import Server
from bench.site import SMALL, Site
from bench.work import WARM_UP_SECONDS, Contender, Contenders, Sample, rate_of, require
from bench.wrk import Load
from testkit.keys import make_key, make_user

AMPLE: Final = 1_000_000
"""Uploads an hour, more than are made here."""
SMALL_QUOTA: Final = 20
UPLOADERS: Final = 60
USERS: Final = 64
ONE_USER: Final = "of one user"
MANY_USERS: Final = "of 64 users"
NOBODY: Final = "nobody's"
_ANSWER: Final = range(200, 2_000)
"""Bytes of an answer that describes a new image."""
_PAGE: Final = range(4_000, 16_000)
"""Bytes of an answer that lists 20 images."""


@contextmanager
def upload(site: Site) -> Iterator[Contenders]:
    """Upload from one address to a service that counts, and to one that does not."""
    with ExitStack() as opened:
        yield Contenders(
            {
                name: removing(host, rate_of(_uploads(site, server, wrk.CONNECTIONS)))
                for name, quota in (("a quota", AMPLE), ("no quota", 0))
                for host, server in [opened.enter_context(_service(site, quota))]
            }
        )


@contextmanager
def list_beside(site: Site) -> Iterator[Contenders]:
    """List 20 images, again and again, while one address uploads on 60 connections."""

    def beside(host: Host, server: Server, *, refused: bool) -> Contender:
        uploads = _uploads(site, server, UPLOADERS)
        pages = rate_of(
            Load(f"{server.url}{IMAGES_PATH}?limit=20", answer_bytes=_PAGE, connections=1)
        )

        def measure(seconds: float) -> Sample:
            with wrk.start(uploads, seconds + 3 * WARM_UP_SECONDS) as process:
                time.sleep(WARM_UP_SECONDS)
                sample = pages(seconds)
                output, _ = process.communicate()
            if not refused:
                wrk.judge(uploads, output)
            return sample

        return measure if refused else removing(host, measure)

    with ExitStack() as opened:
        contenders = {}
        for name, quota in (
            ("a quota", AMPLE),
            ("a quota used up", SMALL_QUOTA),
            ("no quota", 0),
        ):
            host, server = opened.enter_context(_service(site, quota))
            _fill(server)
            contenders[name] = beside(host, server, refused=quota == SMALL_QUOTA)
        yield Contenders(contenders)


@contextmanager
def upload_of_users(site: Site) -> Iterator[Contenders]:
    """Upload on 64 connections to two server processes: as one user, as 64, and as nobody."""
    with ExitStack() as opened:
        host, server = opened.enter_context(_service(site, 0, workers=2))
        contenders = {}
        for name, users in ((ONE_USER, 1), (MANY_USERS, USERS)):
            keys = site.write(f"keys-{users}", "\n".join(_keys(host, users)))
            contenders[name] = _uploads(site, server, USERS, as_=keys)
        contenders[NOBODY] = _uploads(site, server, USERS)
        yield Contenders({name: removing(host, rate_of(load)) for name, load in contenders.items()})


def _keys(host: Host, users: int) -> list[str]:
    """Make users who have a quota, and `USERS` keys of theirs."""

    async def make(url: URL) -> list[str]:
        database = Database(url)
        owners = [
            await make_user(database, quota_bytes=AMPLE * SMALL.size, quota_images=AMPLE)
            for _ in range(users)
        ]
        keys = [(await make_key(database, user=owners[n % users])).key for n in range(USERS)]
        await database.close()
        return keys

    with shared_postgres(host.data / "postgres") as url:
        return asyncio.run(make(url))


@contextmanager
def _service(site: Site, quota: int, workers: int = 1) -> Iterator[tuple[Host, Server]]:
    """Run the service with a quota over a new and empty host."""
    with (
        site.fresh_data() as data,
        servers.service(data, UPLOADS_PER_HOUR_PER_IP=str(quota), WORKERS=str(workers)) as server,
    ):
        yield Host(data), server


def _uploads(site: Site, server: Server, connections: int, as_: str = "") -> Load:
    """Upload again and again, with each of the keys in the file `as_` in turn."""
    body, content_type = form(SMALL.content(Random()))
    file = site.write("post-quota", body)
    post = (*(("send-as", as_) if as_ else ("send",)), file, "POST", content_type)
    return Load(server.url + UPLOAD_PATH, post, connections=connections, answer_bytes=_ANSWER)


def _fill(server: Server) -> None:
    """Upload a page of images, which stay."""
    content = SMALL.content(Random())
    for _ in range(SMALL_QUOTA):
        answer = httpx.post(server.url + UPLOAD_PATH, files={"file": content}, trust_env=False)
        require(answer.status_code == httpx.codes.CREATED, f"{server.url} sent no 201")


def removing(host: Host, measure: Contender) -> Contender:
    """Remove after each run what it uploaded, for the next one to count as many rows."""

    def measure_and_remove(seconds: float) -> Sample:
        try:
            return measure(seconds)
        finally:
            host.remove_uploads()

    return measure_and_remove
