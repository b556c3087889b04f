"""Processor time of a request on the hot paths, in this process alone: `make perf`.

The application is called as a server calls it (ASGI), without sockets and without a load generator,
over a real PostgreSQL and a real folder. Counted is the processor time of this process with all its
threads; PostgreSQL and the process that writes uploads are not in it. Works take turns, round by
round, and each is reported as a ratio to the bare answer of the same round, the least that FastAPI
does for a request, so that the figures of two machines, or of two revisions on one, can be
compared: the median of the rounds, and the lowest and highest.
"""

import argparse
import asyncio
import gc
import json
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import cycle
from pathlib import Path
from random import Random
from statistics import median
from typing import Any, Final, NamedTuple, Self
from uuid import UUID

import uvloop
from fastapi import FastAPI
from pydantic import SecretStr
from starlette.types import Message

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.composition.http_app import create_app
from app.config.settings import Settings
from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.domain.actor import Scope
from app.domain.user import UserRole
from app.observability.logs import TextFormatter, keep_records_short
from app.observability.metrics.folder import VARIABLE, metrics_folder
from app.observability.metrics.shared import shared_observer
from app.observability.observer import SILENT, Observer
from app.storage.local.backend import LocalStorage
from bench import references
from bench.__main__ import folder_of
from bench.forms import form
from bench.site import SMALL
from testkit.keys import make_key
from testkit.renditions import put_rendition

ROUNDS: Final = 7
REQUESTS: Final = 320
"""Of one work, in one round."""
AT_ONCE: Final = 16
"""Requests in progress, so that statements are batched as they are under load."""
COLD_IMAGES: Final = ROUNDS * REQUESTS
"""Each is downloaded once: neither its row nor its file is remembered."""

BARE: Final = "bare answer"

Headers = list[tuple[bytes, bytes]]
Work = Callable[[], Awaitable[object]]
Render = Callable[[UUID], Awaitable[object]]
"""Puts thumbnails of an image in place."""


class Figure(NamedTuple):
    """What one work took."""

    microseconds: float
    """Of processor time a request: the median of the rounds."""
    ratio: float
    """To the bare answer: the median of the rounds."""
    lowest_ratio: float
    highest_ratio: float

    @classmethod
    def of(cls, values: list[float], bare: list[float]) -> Self:
        """Compare a work with the bare answer, round by round."""
        ratios = [value / other for value, other in zip(values, bare, strict=True)]
        return cls(median(values), median(ratios), min(ratios), max(ratios))


class Client:
    """Calls an application as a server would."""

    def __init__(self, app: FastAPI, state: dict[str, Any]) -> None:
        self._app = app
        self._state = state

    async def request(
        self, path: str, expected: int, headers: Headers | None = None, body: bytes = b""
    ) -> bytes:
        """Send one request and return the body of its answer.

        Raises:
            AssertionError: If the answer has another status than expected.
        """
        path, _, query = path.partition("?")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "method": "POST" if body else "GET",
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"localhost:8000"), *(headers or [])],
            "client": ("127.0.0.1", 50_000),
            "server": ("127.0.0.1", 8000),
            "state": self._state.copy(),
        }
        pieces: list[bytes] = []
        status = 0
        arrived = False

        async def receive() -> Message:
            nonlocal arrived
            if arrived:
                await asyncio.sleep(3600)  # the client stays, and sends no more
            arrived = True
            return {"type": "http.request", "body": body, "more_body": False}

        async def send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            else:
                pieces.append(message.get("body", b""))

        await self._app(scope, receive, send)
        answer = b"".join(pieces)
        assert status == expected, (path, status, answer[:500])
        return answer


@asynccontextmanager
async def opened(folder: Path, url: str, observer: Observer = SILENT) -> AsyncIterator[Client]:
    """Open the application over a host, which is empty at first."""
    settings = Settings(database_url=SecretStr(url), data_dir=folder / "data")
    app = create_app(settings, observer=observer)
    async with app.router.lifespan_context(app) as state:
        yield Client(app, dict(state or {}))


async def works(client: Client, observed: Client, render: Render, key: str) -> dict[str, Work]:
    """Fill the host, and make what is measured.

    Args:
        client: Of a default service.
        observed: Of one that keeps metrics.
        render: Puts thumbnails of an image in place.
        key: Reaches every image.
    """
    with_key = [(b"authorization", b"Bearer " + key.encode())]
    content = SMALL.content(Random())
    public, private = form(content), form(content, is_public=False)

    async def upload(form: tuple[bytes, str] = public) -> str:
        body, content_type = form
        sent = [(b"content-type", content_type.encode()), (b"content-length", b"%d" % len(body))]
        image: dict[str, str] = json.loads(await client.request(UPLOAD_PATH, 201, sent, body))
        return image["url"].removeprefix("http://localhost:8000").removesuffix("/file")

    hot = await upload()
    signed = await upload(private)
    etag = f'"{hot.rpartition("/")[2].replace("-", "")}"'.encode()
    assert await client.request(f"{hot}/file", 200) == content
    await render(UUID(hot.rpartition("/")[2]))
    cold: Iterator[str] = cycle([await upload() for _ in range(COLD_IMAGES + 1)])
    bare = Client(references.app, {})
    return {
        BARE: lambda: bare.request("/bare", 200),
        "download 42 KB, hot": lambda: client.request(f"{hot}/file", 200),
        "the same, with metrics": lambda: observed.request(f"{hot}/file", 200),
        "the same, private": lambda: client.request(signed, 200),
        "download 42 KB, cold": lambda: client.request(f"{next(cold)}/file", 200),
        "conditional GET, 304": lambda: client.request(
            f"{hot}/file", 304, [(b"if-none-match", etag)]
        ),
        "thumbnail 300, hot": lambda: client.request(f"{hot}/thumbnails/300", 200),
        "metadata": lambda: client.request(hot, 200),
        "metadata, with a key": lambda: client.request(hot, 200, with_key),
        "list of 20": lambda: client.request(IMAGES_PATH, 200),
        "list of 20, with a key": lambda: client.request(IMAGES_PATH, 200, with_key),
        "upload 42 KB": upload,
    }


async def measure(folder: Path, url: str) -> dict[str, list[float]]:
    """Return microseconds of processor time a request, by work and round."""
    await migrate(Database(url), lambda _line: None)
    samples: dict[str, list[float]] = {}
    database, storage = Database(url), LocalStorage(folder / "data" / "images")
    observer = shared_observer("perf-0")
    async with opened(folder, url) as client, opened(folder, url, observer) as observed:
        holder = await make_key(database, *Scope, role=UserRole.ADMIN)
        measured = await works(
            client, observed, partial(put_rendition, database, storage), holder.key
        )
        await storage.close()
        await database.close()
        for work in measured.values():
            await work()
        gc.freeze()  # as a process that serves does
        for _ in range(ROUNDS):
            for name, work in measured.items():
                begin = time.process_time()
                for _ in range(REQUESTS // AT_ONCE):
                    await asyncio.gather(*(work() for _ in range(AT_ONCE)))
                spent = (time.process_time() - begin) / REQUESTS
                samples.setdefault(name, []).append(spent * 1e6)
    return {name: values[1:] for name, values in samples.items()}  # the first warms up


def main() -> None:
    """Measure, and print a table, or JSON for programs that compare revisions."""
    parser = argparse.ArgumentParser(prog="make perf", description=__doc__)
    parser.add_argument("--json", action="store_true", help="print JSON instead of a table")
    options = parser.parse_args()
    keep_records_short()
    access_log = logging.StreamHandler(Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
    access_log.setFormatter(TextFormatter())
    logging.getLogger().addHandler(access_log)
    logging.getLogger().setLevel(logging.INFO)
    with (
        folder_of(None) as folder,
        metrics_folder() as metrics,
        embedded_postgres(folder / "postgres") as url,
        asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner,
    ):
        os.environ[VARIABLE] = str(metrics)
        spent = runner.run(measure(folder, url.render_as_string(hide_password=False)))
    figures = {name: Figure.of(values, spent[BARE]) for name, values in spent.items()}
    if options.json:
        print(json.dumps({name: figure._asdict() for name, figure in figures.items()}, indent=2))
        return
    for name, (microseconds, ratio, lowest, highest) in figures.items():
        print(f"{name:<22} {microseconds:7.0f} µs {ratio:7.2f} x  ({lowest:.2f} to {highest:.2f})")


if __name__ == "__main__":
    main()
