"""The trace that a trusted proxy names is kept: in the lines of the request, and in its jobs."""

import asyncio
from collections.abc import Iterator
from ipaddress import ip_network
from uuid import UUID, uuid4

import pytest

from app.config.settings import Settings
from app.database.engine import Database
from testkit import samples
from testkit.asgi import CLIENT, OpenClient, image_of
from testkit.jobs import rows
from testkit.live import TIMEOUT
from testkit.logs import Log, logging_to
from testkit.renditions import put_rendition
from testkit.storages import OpenStorage

IMAGES = "/api/v1/images"
UPLOAD = f"{IMAGES}/upload"
JPEG = samples.jpeg()
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
TRUSTED = (ip_network(CLIENT),)


@pytest.fixture
def log() -> Iterator[Log]:
    with logging_to() as log:
        yield log


def part_of(trace: str) -> dict[str, str]:
    return {"traceparent": f"00-{trace}-00f067aa0ba902b7-01"}


async def test_each_line_of_a_request_has_its_trace_and_no_line_of_the_next(
    open_client: OpenClient, log: Log
) -> None:
    async with open_client(trusted_proxies=TRUSTED) as client:
        answers = [
            await client.get("/health/live", headers=headers) for headers in (part_of(TRACE), {})
        ]
    ids = [answer.headers["x-request-id"] for answer in answers]
    found = {line["request_id"]: line.get("trace_id") for line in log.lines}
    assert [found[one] for one in ids] == [TRACE, None]


@pytest.mark.parametrize(
    ("trusted", "headers"),
    [
        ((), part_of(TRACE)),
        ((ip_network("192.0.2.8"),), part_of(TRACE)),
        (TRUSTED, part_of("0" * 32)),
        (TRUSTED, {"traceparent": "x" * 10_000}),
        (TRUSTED, {"tracestate": "congo=t61rcWkgMzE"}),
    ],
)
async def test_what_a_stranger_or_nobody_says_rightly_is_ignored(
    open_client: OpenClient, log: Log, trusted: tuple[object, ...], headers: dict[str, str]
) -> None:
    async with open_client(trusted_proxies=trusted) as client:
        assert (await client.get("/health/live", headers=headers)).is_success
    assert [line for line in log.lines if "trace_id" in line] == []


@pytest.mark.parametrize("quota", [0, 100], ids=["unlimited", "with a quota"])
async def test_each_of_many_uploads_at_once_gives_its_own_trace_to_its_job(
    open_client: OpenClient, database: Database, quota: int
) -> None:
    async with open_client(trusted_proxies=TRUSTED, uploads_per_hour_per_ip=quota) as client:

        async def upload(trace: str) -> str:
            headers = part_of(trace) if trace else {}
            answer = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)
            return f"render:{image_of(answer)['id']}"

        traces = [*(uuid4().hex for _ in range(10)), ""]
        jobs = await asyncio.gather(*(upload(trace) for trace in traces))
    found = {
        name: trace
        for name, trace in await rows(database, "queueing_lock, coalesce(lock, '')")
        if str(name).startswith("render:")
    }
    assert found == dict(zip(jobs, traces, strict=True))


async def test_a_thumbnail_that_is_waited_for_is_rendered_as_part_of_the_trace(
    open_client: OpenClient, database: Database, settings: Settings, open_storage: OpenStorage
) -> None:
    async with open_client(trusted_proxies=TRUSTED) as client:
        image = image_of(await client.post(UPLOAD, files={"file": JPEG}))
        path = f"{IMAGES}/{image['id']}/thumbnails/300"
        asking = asyncio.create_task(client.get(path, headers=part_of(TRACE)))
        async with asyncio.timeout(TIMEOUT):
            while (f"render:{image['id']}", TRACE) not in await rows(
                database, "queueing_lock, lock"
            ):
                assert not asking.done()
        await put_rendition(database, open_storage(settings.data_dir / "images"), UUID(image["id"]))
        assert (await asking).status_code == 200
