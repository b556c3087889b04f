"""A worker shows that it takes jobs, or that no other could."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.composition.worker import open_worker
from app.server import worker as worker_module
from app.services import readiness
from testkit.database_proxy import DatabaseProxy
from testkit.live import TIMEOUT, until
from testkit.settings import make_settings


class Beats:
    """Counts the beats of a worker."""

    def __init__(self) -> None:
        self.count = 0

    async def beat(self) -> None:
        self.count += 1

    async def wait_for(self, more: int) -> None:
        most = self.count + more
        await until(lambda: self.count >= most)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "BEAT_SECONDS", 0.02)
    monkeypatch.setattr(worker_module, "RETRY_SECONDS", 0.02)
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.1)
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 0.5)
    monkeypatch.setattr("app.queue.worker.SILENCE_SECONDS", 1.0)


async def test_a_worker_beats_while_it_takes_jobs_and_while_it_waits_for_the_database(
    proxy: DatabaseProxy, tmp_path: Path
) -> None:
    stopping, beats = asyncio.Event(), Beats()
    async with open_worker(make_settings(proxy.url, tmp_path)) as worker:
        running = asyncio.create_task(worker.run(stopping, beats.beat))
        await beats.wait_for(10)
        await until_down(worker, [])
        proxy.hold()
        await until_down(worker, ["database", "queue"])
        await beats.wait_for(10)
        proxy.release()
        await until_down(worker, [])
        await beats.wait_for(10)
        stopping.set()
        await running
        await until_down(worker, ["queue"])


async def test_a_worker_that_takes_no_jobs_from_an_available_database_does_not_beat(
    database_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", TIMEOUT)  # it is available, however slow
    beats = Beats()
    async with open_worker(make_settings(database_url, tmp_path)) as worker:
        beating = asyncio.create_task(worker._beat(beats.beat))
        await until_down(worker, ["queue"])
        await asyncio.sleep(0.5)
        beating.cancel()
    assert beats.count == 0


async def until_down(worker: worker_module.Worker, names: list[str]) -> None:
    async with asyncio.timeout(30):
        while [*await worker.readiness.outages()] != names:  # noqa: ASYNC110
            await asyncio.sleep(0.05)
