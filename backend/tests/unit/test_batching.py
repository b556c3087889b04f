"""Concurrent operations share a batch, and each gets a result of its own."""

import asyncio
from collections.abc import Sequence
from time import monotonic

import pytest

from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher


class Refused(Exception):
    pass


class Work:
    """Squares numbers, batch by batch, once it may; a negative one fails, 0 fails its batch."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def carry_out(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.batches.append(list(numbers))
        await self.may_end.wait()
        if 0 in numbers:
            raise ZeroDivisionError
        return [number**2 if number > 0 else ValueError(number) for number in numbers]


def batcher(
    work: Work,
    max_size: int = 10,
    max_queue_delay: float = 60,
    observer: Observer = SILENT,
) -> Batcher[int, int]:
    return Batcher(
        "squares",
        work.carry_out,
        max_size=max_size,
        max_queue_delay=max_queue_delay,
        refusal=Refused,
        observer=observer,
    )


async def started() -> None:
    """Let tasks run to where they wait."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_items_submitted_during_a_batch_make_up_the_next() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work)
    first = numbers.submit(1)
    await started()
    later = [numbers.submit(number) for number in (2, 3, 4)]
    await started()
    assert work.batches == [[1]]
    work.may_end.set()
    assert await asyncio.gather(first, *later) == [1, 4, 9, 16]
    assert work.batches == [[1], [2, 3, 4]]


async def test_batches_are_bounded_and_carried_out_one_at_a_time() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work, max_size=3)
    answers = [numbers.submit(number) for number in range(1, 10)]
    await started()
    assert work.batches == [[1, 2, 3]]
    work.may_end.set()
    assert await asyncio.gather(*answers) == [number**2 for number in range(1, 10)]
    assert work.batches == [[1, 2, 3], [4, 5, 6], [7, 8, 9]]


async def test_a_failed_item_fails_alone() -> None:
    numbers = batcher(Work())
    outcomes = await asyncio.gather(*map(numbers.submit, (2, -1, 3)), return_exceptions=True)
    assert outcomes[0] == 4
    assert isinstance(outcomes[1], ValueError)
    assert outcomes[2] == 9


async def test_a_failed_batch_fails_all_its_items_and_not_the_next_batch() -> None:
    numbers = batcher(Work())
    outcomes = await asyncio.gather(*map(numbers.submit, (2, 0)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    assert await numbers.submit(5) == 25


async def test_an_item_cancelled_in_the_queue_is_left_out() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work)
    first = numbers.submit(1)
    await started()
    cancelled, kept = numbers.submit(2), numbers.submit(3)
    cancelled.cancel()
    work.may_end.set()
    assert [await first, await kept] == [1, 9]
    assert work.batches == [[1], [3]]


async def test_an_item_cancelled_in_its_batch_does_not_affect_the_others() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work)
    cancelled, kept = numbers.submit(2), numbers.submit(3)
    await started()
    cancelled.cancel()
    work.may_end.set()
    assert await kept == 9


async def test_an_item_submitted_as_the_last_batch_ends_is_carried_out() -> None:
    numbers = batcher(Work())
    again: list[asyncio.Future[int]] = []
    first = numbers.submit(1)
    first.add_done_callback(lambda _: again.append(numbers.submit(2)))
    assert await first == 1
    await started()
    assert await asyncio.wait_for(again[0], 10) == 4


async def test_a_slow_queue_refuses_new_items() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work, max_queue_delay=0.01)
    first = numbers.submit(1)
    await started()
    second = numbers.submit(2)
    await asyncio.sleep(0.02)
    with pytest.raises(Refused):
        numbers.submit(3)
    work.may_end.set()
    assert [await first, await second] == [1, 4]
    assert await numbers.submit(4) == 16


async def test_a_cancelled_worker_cancels_all_that_wait() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work)
    first = numbers.submit(1)
    await started()
    second = numbers.submit(2)
    assert numbers._worker
    numbers._worker.cancel()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    work.may_end.set()
    assert await numbers.submit(3) == 9


async def test_draining_waits_for_all_batches() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work, max_size=1)
    results = [numbers.submit(number) for number in (1, 2)]
    await started()
    draining = asyncio.create_task(numbers.drain(60))
    await started()
    assert not draining.done()
    work.may_end.set()
    await draining
    assert [result.result() for result in results] == [1, 4]


async def test_draining_cancels_batches_that_are_not_done_in_time() -> None:
    work = Work()
    work.may_end.clear()
    numbers = batcher(work, max_size=1)
    results = [numbers.submit(number) for number in (1, 2)]
    await started()
    await numbers.drain(0.01)
    assert work.batches == [[1]]
    assert all(result.cancelled() for result in results)


class Noted(Observer):
    """Remembers the batches."""

    is_silent = False

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.delays: list[float] = []

    def batch(self, name: str, size: int, seconds: float) -> None:
        self.batches.append((name, size))
        self.delays.append(seconds)


async def test_a_batch_is_observed_with_its_size_and_how_long_its_first_item_was_queued() -> None:
    work, noted = Work(), Noted()
    work.may_end.clear()
    numbers = batcher(work, observer=noted)
    first = numbers.submit(1)
    await started()
    later = [numbers.submit(2)]
    await started()
    queued = monotonic()
    later.append(numbers.submit(3))
    held = monotonic() - queued
    work.may_end.set()
    await asyncio.gather(first, *later)
    assert noted.batches == [("squares", 1), ("squares", 2)]
    assert noted.delays[0] >= 0
    assert held <= noted.delays[1]


class Full(Observer):
    is_silent = False

    def batch(self, name: str, size: int, seconds: float) -> None:
        raise RuntimeError(name, size, seconds)


async def test_nobody_waits_for_ever_where_a_batch_cannot_be_counted() -> None:
    numbers = batcher(Work(), observer=Full())
    async with asyncio.timeout(10):
        with pytest.raises(RuntimeError, match="squares"):
            await numbers.submit(3)
