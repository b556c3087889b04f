"""The figures at a scrape: what is known, and nothing of what is not."""

from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from app.composition.metrics_app import create_metrics_app
from app.database.engine import Database
from app.domain.job import RENDER, NewJob
from app.services import readiness, reading
from app.services.maintenance import record_backup, record_fsck
from testkit.database_proxy import DatabaseProxy
from testkit.jobs import insert
from testkit.live import TIMEOUT, LiveServer, serve, wait_until
from testkit.settings import make_settings
from testkit.uploads import add, execute, row

OF_THE_DATABASE = {
    "image_host_images",
    "image_host_storage_used_bytes",
    "image_host_queue_jobs",
    "image_host_queue_oldest_seconds",
}


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Read at each scrape."""
    monkeypatch.setattr(reading, "INTERVAL", 0.0)
    monkeypatch.setattr(reading, "MOST_PAUSE", 0.0)
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.0)


@pytest.fixture
def proxy(database_url: URL) -> Iterator[DatabaseProxy]:
    with DatabaseProxy(database_url).running() as proxy:
        yield proxy


@pytest.fixture
def server(proxy: DatabaseProxy, tmp_path: Path) -> Iterator[LiveServer]:
    settings = make_settings(proxy.url, tmp_path / "data", metrics_address="127.0.0.1:0")
    (tmp_path / "metrics").mkdir()
    with serve(create_metrics_app(settings, tmp_path / "metrics")) as server:
        yield server


def scrape(server: LiveServer) -> dict[str, float]:
    """Return the samples of a scrape, under their names and labels."""
    response = httpx.get(f"{server.url}/metrics")
    assert response.status_code == 200
    lines = [line for line in response.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines)}


def names_in(found: dict[str, float]) -> set[str]:
    return {name.split("{")[0] for name in found}


def reach(server: LiveServer, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Scrape until something holds; return that scrape."""
    found: list[dict[str, float]] = []

    def is_reached() -> bool:
        found.append(scrape(server))
        return holds(found[-1])

    wait_until(is_reached)
    return found[-1]


async def test_what_is_known_is_scraped(
    server: LiveServer, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("FIRST_DEADLINE", "DEADLINE"):  # of a busy machine, which is not tested here
        monkeypatch.setattr(reading, name, TIMEOUT)
    reach(server, lambda found: found.get("image_host_storage_up") == 1)
    await add(database, row(file_size=5), row(file_size=7))
    await insert(database, NewJob(RENDER, "a"), NewJob(RENDER, "b"), NewJob(RENDER, "c"))
    await execute(
        database,
        "UPDATE procrastinate_jobs SET status = 'failed' WHERE args->>'subject' = 'a'",
        "UPDATE procrastinate_jobs SET created_at = now() - interval '1 hour' "
        "WHERE args->>'subject' = 'b'",
    )
    await record_fsck(database, 4, is_thorough=True)
    await record_backup(database)
    found = reach(server, lambda found: found.get("image_host_images") == 2)
    assert found["image_host_database_up"] == found["image_host_storage_up"] == 1
    assert "image_host_cache_up" not in found, "there is none"
    assert found["image_host_storage_used_bytes"] == 12
    assert found['image_host_queue_jobs{state="todo",task="render"}'] == 2
    assert found['image_host_queue_jobs{state="doing",task="render"}'] == 0
    assert found['image_host_queue_jobs{state="failed",task="render"}'] == 1
    assert found['image_host_queue_jobs{state="todo",task="cleanup"}'] == 0
    assert 3600 <= found['image_host_queue_oldest_seconds{task="render"}'] < 4000
    assert found["image_host_fsck_last_findings"] == 4
    seconds = found["image_host_fsck_last_timestamp_seconds"]
    assert 0 <= found["image_host_backup_last_timestamp_seconds"] - seconds < 60
    free = found['image_host_storage_free_bytes{backend="local"}']
    assert 0 < free < found['image_host_storage_size_bytes{backend="local"}']


@pytest.mark.parametrize("is_hanging", [False, True], ids=["refuses", "hangs"])
def test_a_database_that_is_away_neither_fails_a_scrape_nor_has_old_figures(
    server: LiveServer,
    proxy: DatabaseProxy,
    database_url: URL,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_hanging: bool,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 0.5)
    reach(
        server, lambda found: names_in(found) >= {*OF_THE_DATABASE, "image_host_storage_free_bytes"}
    )
    if is_hanging:
        proxy.hold()
    else:
        proxy.lead_to(URL.create("postgresql", host="127.0.0.1", port=1))
        proxy.drop()
    found = reach(server, lambda found: found.get("image_host_database_up") == 0)
    assert not names_in(found) & OF_THE_DATABASE
    assert "image_host_storage_free_bytes" in names_in(found)
    proxy.release()
    proxy.lead_to(database_url)
    reach(server, lambda found: "image_host_images" in found)


def test_what_was_never_done_has_no_time(server: LiveServer) -> None:
    found = reach(server, lambda found: "image_host_images" in found)
    assert not [name for name in found if "fsck" in name or "backup" in name]
