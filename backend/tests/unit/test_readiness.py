"""However many ask whether a dependency can be used, it is checked once a second."""

import asyncio

import pytest

from app.domain.errors import ImageHostError, StorageUnavailable
from app.services import readiness
from app.services.readiness import Probe


class Dependency:
    """Counts how often it is checked; fails, and hangs, on request."""

    def __init__(self) -> None:
        self.checks = 0
        self.failure: ImageHostError | None = None
        self.answers = asyncio.Event()
        self.answers.set()

    async def check(self) -> None:
        self.checks += 1
        await self.answers.wait()
        if self.failure:
            raise self.failure


async def ask(probe: Probe, times: int) -> list[ImageHostError | None]:
    return list(await asyncio.gather(*(probe.outage() for _ in range(times))))


async def test_a_thousand_who_ask_at_once_and_a_thousand_who_ask_next_share_one_check(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 3600)
    dependency = Dependency()
    probe = Probe(dependency.check, StorageUnavailable)
    assert await ask(probe, 1000) == [None] * 1000
    assert await ask(probe, 1000) == [None] * 1000
    assert dependency.checks == 1


async def test_a_failure_is_checked_again_no_sooner_than_a_success(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 3600)
    dependency = Dependency()
    dependency.failure = StorageUnavailable()
    probe = Probe(dependency.check, StorageUnavailable)
    assert await ask(probe, 3) == [dependency.failure] * 3
    assert dependency.checks == 1


async def test_after_the_interval_it_is_checked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.01)
    dependency = Dependency()
    probe = Probe(dependency.check, StorageUnavailable)
    assert await probe.outage() is None
    dependency.failure = StorageUnavailable()
    await asyncio.sleep(0.02)
    assert await probe.outage() is dependency.failure
    assert dependency.checks == 2


async def test_a_check_that_hangs_is_a_failure_and_no_other_begins_beside_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.01)
    monkeypatch.setattr(readiness, "PROBE_DEADLINE", 0.05)
    dependency = Dependency()
    dependency.answers.clear()
    probe = Probe(dependency.check, StorageUnavailable)
    for _ in range(3):
        for error in await ask(probe, 10):
            assert isinstance(error, StorageUnavailable)
    assert dependency.checks == 1
    dependency.answers.set()
    await asyncio.sleep(0.02)
    assert await probe.outage() is None
    assert dependency.checks == 2


async def test_one_who_asks_no_longer_takes_the_check_from_nobody() -> None:
    dependency = Dependency()
    dependency.answers.clear()
    probe = Probe(dependency.check, StorageUnavailable)
    leaves = asyncio.create_task(probe.outage())
    stays = asyncio.create_task(probe.outage())
    await asyncio.sleep(0)
    leaves.cancel()
    dependency.answers.set()
    assert await stays is None


async def test_who_asks_when_a_slow_check_has_ended_keeps_nobody_from_its_result(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 0.0)
    dependency = Dependency()
    dependency.answers.clear()
    probe = Probe(dependency.check, StorageUnavailable)
    asked = [asyncio.create_task(probe.outage())]
    await asyncio.sleep(0.01)

    def ask_again(_ended: object) -> None:
        dependency.answers.clear()
        asked.append(asyncio.create_task(probe.outage()))

    assert probe._latest
    probe._latest.add_done_callback(ask_again)
    asked.append(asyncio.create_task(probe.outage()))
    await asyncio.sleep(0.01)
    dependency.answers.set()
    assert [await asked[0], await asked[1]] == [None, None]
    dependency.answers.set()
    assert await asked[2] is None
