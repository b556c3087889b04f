"""The service as it is run, two server processes and a worker, over a real cache."""

import asyncio
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.engine import URL

from testkit.databases import execute
from testkit.live import TIMEOUT, wait_until
from testkit.service import IMAGES, RENDERED_SECONDS, StartService, upload
from testkit.valkey import cache_server

PENDING = "SELECT count(*) FROM procrastinate_jobs WHERE task_name = 'invalidate'"


def test_the_worker_invalidates_what_it_renders_and_what_a_process_could_not(
    start: StartService, database_url: URL, tmp_path: Path
) -> None:
    address = database_url.set(drivername="postgresql").render_as_string(hide_password=False)

    def are_pending(number: int) -> bool:
        return asyncio.run(execute(database_url, PENDING)) == [(number,)]

    with cache_server(tmp_path) as server:
        caching = (f"DATABASE_URL={address}", f"REDIS_URL={server.url}")
        service = start("WORKERS=2", "WORKER_PROCESSES=1", *caching).wait_until_it_serves()
        url = f"{service.url}{IMAGES}/{upload(service)['id']}"

        def ask() -> dict[str, Any]:
            answer: dict[str, Any] = httpx.get(url, timeout=TIMEOUT).json()
            return answer

        wait_until(lambda: ask()["placeholder"], RENDERED_SECONDS)
        server.kill()
        assert httpx.delete(url, timeout=TIMEOUT).status_code == 204
        assert ask()["status"] == 404
        assert are_pending(1)
        server.start()
        wait_until(lambda: are_pending(0))
        assert ask()["status"] == 404
