"""Operators see in the metrics how the database is used, and which statements are slow."""

import asyncio

import httpx

from testkit.contrib_postgres import contrib_postgres
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute, prepare
from testkit.live import wait_until
from testkit.metrics import scrape
from testkit.programs import needs_postgres
from testkit.service import IMAGES, StartService, upload

CONNECTIONS = 3
DURATIONS = "database_statement_duration_seconds_count"


@needs_postgres
def test_a_scrape_shows_how_the_database_is_used(start: StartService) -> None:
    address = f"127.0.0.1:{lasting_port()}"
    with contrib_postgres("pg_stat_statements") as url, DatabaseProxy(url).running() as proxy:
        asyncio.run(prepare(url))
        asyncio.run(execute(url, "CREATE EXTENSION pg_stat_statements"))
        service = start(
            f"DATABASE_URL={proxy.url.render_as_string(hide_password=False)}",
            f"DATABASE_CONNECTIONS={CONNECTIONS}",
            f"METRICS_ADDRESS={address}",
            "WORKERS=2",
            "WORKER_PROCESSES=1",
        ).wait_until_it_serves()
        images = [upload(service) for _ in range(5)]

        def value(name: str, **labels: str) -> float:
            return scrape(address).value(name, **labels)

        wait_until(lambda: value(DURATIONS, statement="images.insert_images") == 5)
        assert value("batch_size_sum", batch="insertions") == 5
        assert value("batch_queue_delay_seconds_count", batch="file_writes") >= 5
        assert value("database_errors_total") == 0
        assert "other" not in scrape(address).label_values("statement")
        # Of two server processes and a worker, each of which looks once a second.
        wait_until(lambda: value("database_pool_size") == 3 * CONNECTIONS)
        wait_until(lambda: value("database_pool_connections", state="idle") >= 2)
        wait_until(lambda: value(DURATIONS, statement="queue.fetch_job"))
        # What a scrape reads has a name too.
        wait_until(lambda: value(DURATIONS, statement="fsck.sum_up_images"))
        counted = "database_statement_calls_total"
        wait_until(lambda: value(counted, statement="images.insert_images") == 5)

        proxy.cut("/* images.find_details */", "before")
        response = httpx.get(f"{service.url}{IMAGES}/{images[0]['id']}")
        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        error = "ConnectionDoesNotExistError"
        wait_until(lambda: value("database_errors_total", error=error) == 1)
