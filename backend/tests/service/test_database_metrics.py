"""Operators see in the metrics how the database is used, and which statements are slow."""

import asyncio

import httpx

from testkit.contrib_postgres import contrib_postgres
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute, prepare
from testkit.live import wait_until
from testkit.programs import needs_postgres
from testkit.scrape import Scrape
from testkit.service import IMAGES, StartService, upload

CONNECTIONS = 3
DURATIONS = "database_statement_duration_seconds_count"


@needs_postgres
def test_a_scrape_shows_how_the_database_is_used(start: StartService) -> None:
    port = lasting_port()
    with contrib_postgres("pg_stat_statements") as url, DatabaseProxy(url).running() as proxy:
        asyncio.run(prepare(url))
        asyncio.run(execute(url, "CREATE EXTENSION pg_stat_statements"))
        service = start(
            f"DATABASE_URL={proxy.url.render_as_string(hide_password=False)}",
            f"DATABASE_CONNECTIONS={CONNECTIONS}",
            f"METRICS_ADDRESS=127.0.0.1:{port}",
            "WORKERS=2",
            "WORKER_PROCESSES=1",
        ).wait_until_it_serves()
        images = [upload(service) for _ in range(5)]
        before = Scrape(port)
        assert before.sum(DURATIONS, statement="images.insert_images") == 5
        assert before.sum("batch_size_sum", batch="insertions") == 5
        assert before.sum("batch_queue_delay_seconds_count", batch="file_writes") >= 5
        assert before.sum("database_errors_total") == 0
        assert "other" not in before.values(DURATIONS, "statement")
        # Of two server processes and a worker, each of which looks once a second.
        wait_until(lambda: Scrape(port).sum("database_pool_size") == 3 * CONNECTIONS)
        wait_until(lambda: Scrape(port).sum("database_pool_connections", state="idle") >= 2)
        wait_until(lambda: Scrape(port).sum(DURATIONS, statement="queue.fetch_job"))
        wait_until(lambda: counted(port, "images.insert_images") == 5)
        reads = "fsck.sum_up_images"
        assert Scrape(port).sum(DURATIONS, statement=reads), "what a scrape reads has a name too"

        proxy.cut("/* images.find_details */", "before")
        response = httpx.get(f"{service.url}{IMAGES}/{images[0]['id']}")
        assert response.status_code == httpx.codes.SERVICE_UNAVAILABLE
        assert Scrape(port).sum("database_errors_total", error="ConnectionDoesNotExistError") == 1


def counted(port: int, statement: str) -> float:
    """Return how many calls of a statement the database has counted."""
    return Scrape(port).sum("database_statement_calls_total", statement=statement)
