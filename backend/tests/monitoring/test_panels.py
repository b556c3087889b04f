"""Each query of each panel, asked of a Prometheus that has asked a service at work."""

import asyncio
import math
import socket
from contextlib import suppress
from pathlib import Path
from typing import Final

import httpx

from testkit import samples
from testkit.contrib_postgres import contrib_postgres
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute, prepare
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_postgres, needs_prometheus
from testkit.prometheus import Prometheus, running_prometheus
from testkit.promql import Query, panel_queries
from testkit.service import (
    IMAGES,
    Service,
    make,
    make_checkout,
    starting_services,
    storage_unavailable,
)
from testkit.sockets import BATCH, UPLOAD
from testkit.valkey import cache_server

WAIT_SECONDS: Final = 120.0
LARGE: Final = samples.sized_jpeg(2_000_000)

EMPTY: Final = {"image-host-service: Alerts A": "no alert fires"}
"""What may be empty here, and why."""


@needs_prometheus
@needs_postgres
def test_no_panel_is_empty_that_should_not_be(tmp_path: Path) -> None:
    checkout = make_checkout(tmp_path / "checkout")
    address = f"127.0.0.1:{lasting_port()}"
    with (
        cache_server(tmp_path) as cache,
        contrib_postgres("pg_stat_statements") as url,
        DatabaseProxy(url).running() as proxy,
        starting_services(checkout) as start,
    ):
        asyncio.run(prepare(url))
        asyncio.run(execute(url, "CREATE EXTENSION pg_stat_statements"))
        database = f"DATABASE_URL={proxy.url.render_as_string(hide_password=False)}"
        watched = f"METRICS_ADDRESS={address}"
        limit = f"MAX_UPLOAD_BYTES={len(LARGE)}"
        processes = ("WORKERS=2", "WORKER_PROCESSES=1")
        service = start(database, f"REDIS_URL={cache.url}", watched, limit, *processes)
        service.wait_until_it_serves()
        data = f"DATA_DIR={service.data_dir}"
        for command in ("fsck", "record-backup"):
            done = make(checkout, command, "ARGS=--checksums", database, data)
            assert done.returncode == 0, done.stderr
        service.wait_for_workers(1)
        with running_prometheus(tmp_path, address) as prometheus:
            wait_until(lambda: prometheus.value('up{job="image-host"}') == 1)
            service.workers()[0].kill()
            service.serving()[0].kill()
            unexpected: set[str] = set()

            def are_filled() -> bool:
                proxy.cut("/* images.find_details */", "before")
                work(service)
                empty = {query.place for query in panel_queries() if is_empty(prometheus, query)}
                unexpected.clear()
                unexpected.update(empty - EMPTY.keys())
                return not unexpected

            with suppress(AssertionError):
                wait_until(are_filled, WAIT_SECONDS)
            assert not unexpected


def is_empty(prometheus: Prometheus, query: Query) -> bool:
    """Return whether a panel shows nothing for a query, also where it divides by zero."""
    series = prometheus.query(query.expression.replace("$__rate_interval", "30s"))
    return not any(math.isfinite(float(sample["value"][1])) for sample in series)


def work(service: Service) -> None:
    """Do each thing that people do, and what they should not."""
    with httpx.Client(base_url=service.url, timeout=TIMEOUT) as client:
        uploaded = client.post(UPLOAD, files={"file": ("a.jpg", samples.jpeg(640, 480))}).json()
        client.post(BATCH, files=[("files", ("b.png", samples.png())), ("files", ("c.jpg", LARGE))])
        client.post(UPLOAD, files={"file": ("d.txt", b"no image")})
        client.post(UPLOAD, files={"file": ("large.jpg", LARGE + b"more")})
        paths = [f"{IMAGES}/{image['id']}" for image in client.get(IMAGES).json()["items"][:3]]
        for path in paths:
            client.get(path)
            client.get(f"{path}/thumbnails/150")
            etag = client.get(f"{path}/file").headers["etag"]
            client.get(f"{path}/file", headers={"If-None-Match": etag})
            client.patch(path, json={"filename": "e.jpg"})
        client.delete(f"{IMAGES}/{uploaded['id']}")
        client.get("/nowhere")
        client.get("/health/ready")
        with storage_unavailable(service):
            client.get(f"{paths[-1]}/file")
            client.post(UPLOAD, files={"file": ("a.jpg", samples.jpeg())})
    with socket.create_connection(("127.0.0.1", httpx.URL(service.url).port or 0)) as stranger:
        stranger.sendall(b"this is no request\r\n\r\n")
        stranger.recv(1000)
