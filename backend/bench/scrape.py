"""How long a scrape takes while four server processes are as busy as a load generator makes them.

`PYTHONPATH=backend .venv/bin/python -m bench.scrape`; needs wrk.
"""

import time
from contextlib import ExitStack
from random import Random
from statistics import median
from typing import Final

import httpx
import psutil

from app.api.images.paths import IMAGES_PATH, UPLOAD_PATH
from app.observability.metrics.exposition import KEPT_SECONDS
from bench import wrk
from bench.__main__ import folder_of
from bench.site import SMALL, Site
from testkit.daemons import lasting_port

SCRAPES: Final = 15
MOST_SECONDS: Final = 0.1
"""The goal."""
METHODS: Final = ("GET", "HEAD", "POST", "PATCH", "DELETE", "OPTIONS", "PUT")


def main() -> None:
    """Measure, and print what was seen; the processor time is all that the process took."""
    address = f"127.0.0.1:{lasting_port()}"
    with folder_of(None) as folder, ExitStack() as opened:
        site = Site(folder, opened)
        service = opened.enter_context(
            site.fresh_service(renders=True, WORKERS="4", METRICS_ADDRESS=address)
        )
        client = opened.enter_context(httpx.Client(base_url=service.url))
        image = client.post(UPLOAD_PATH, files={"file": ("a.jpg", SMALL.content(Random()))}).json()
        _ask_everything(client, f"{IMAGES_PATH}/{image['id']}")
        url = f"{service.url}{IMAGES_PATH}/{image['id']}/file"
        process = wrk.start(wrk.Load(url), SCRAPES * 2 * KEPT_SECONDS)
        (scraped,) = [
            child
            for child in psutil.Process(service.pid).children()
            if "app.commands.metrics_process" in child.cmdline()
        ]
        before = sum(scraped.cpu_times()[:2])
        seconds, size = _scrape(address)
        spent = (sum(scraped.cpu_times()[:2]) - before) / SCRAPES
        process.terminate()
        process.communicate()
    print(
        f"{size / 1000:.0f} KB in {median(seconds) * 1000:.0f} ms (median of {SCRAPES}; "
        f"{min(seconds) * 1000:.0f} to {max(seconds) * 1000:.0f}), "
        f"{spent * 1000:.0f} ms of processor time: "
        f"{'reached' if median(seconds) <= MOST_SECONDS else 'NOT reached'}"
    )


def _ask_everything(client: httpx.Client, image: str) -> None:
    """Have each route counted with all that its answers may be, in whichever process."""
    paths = [*client.get("/openapi.json").json()["paths"], "/", "/docs", "/unknown"]
    for _ in range(20):
        with httpx.Client(base_url=client.base_url) as another:
            for path in paths:
                for method in METHODS:
                    if not (path.endswith("{image_id}") and method == "DELETE"):
                        another.request(method, path.replace(f"{IMAGES_PATH}/{{image_id}}", image))


def _scrape(address: str) -> tuple[list[float], int]:
    seconds: list[float] = []
    size = 0
    for _ in range(SCRAPES):
        time.sleep(1.1 * KEPT_SECONDS)
        begin = time.perf_counter()
        size = len(httpx.get(f"http://{address}/metrics").content)
        seconds.append(time.perf_counter() - begin)
    return seconds, size


if __name__ == "__main__":
    main()
