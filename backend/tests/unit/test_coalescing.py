"""What is asked for at the same time is done together, and everyone gets an answer of their own."""

import asyncio
from collections.abc import Sequence

import pytest

from app.runtime.batching import Coalescer


class Busy(Exception):
    pass


class Work:
    """Squares numbers, group by group, when it is let; a negative one is refused."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def carry_out(self, numbers: Sequence[int]) -> Sequence[int | Exception]:
        self.groups.append(list(numbers))
        await self.may_end.wait()
        if 0 in numbers:
            raise ZeroDivisionError
        return [number**2 if number > 0 else ValueError(number) for number in numbers]


def coalescer(
    work: Work, at_once: int = 1, most: int = 10, patience: float = 60
) -> Coalescer[int, int]:
    return Coalescer(work.carry_out, at_once=at_once, most=most, patience=patience, busy=Busy)


async def started() -> None:
    """Let what was begun come to where it waits."""
    for _ in range(5):
        await asyncio.sleep(0)


async def test_what_comes_while_a_group_is_under_way_makes_up_the_next() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work)
    first = numbers.submit(1)
    await started()
    later = [numbers.submit(number) for number in (2, 3, 4)]
    await started()
    assert work.groups == [[1]]
    work.may_end.set()
    assert await asyncio.gather(first, *later) == [1, 4, 9, 16]
    assert work.groups == [[1], [2, 3, 4]]


async def test_no_group_is_larger_than_the_most_and_none_is_under_way_beyond_the_limit() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work, at_once=2, most=3)
    answers = [numbers.submit(number) for number in range(1, 10)]
    await started()
    assert work.groups == [[1, 2, 3], [4, 5, 6]]
    work.may_end.set()
    assert await asyncio.gather(*answers) == [number**2 for number in range(1, 10)]
    assert work.groups[2:] == [[7, 8, 9]]


async def test_an_item_that_fails_by_itself_fails_for_who_gave_it_alone() -> None:
    numbers = coalescer(Work())
    outcomes = await asyncio.gather(*map(numbers.submit, (2, -1, 3)), return_exceptions=True)
    assert outcomes[0] == 4
    assert isinstance(outcomes[1], ValueError)
    assert outcomes[2] == 9


async def test_a_group_that_fails_fails_for_all_and_the_next_goes_on() -> None:
    numbers = coalescer(Work())
    outcomes = await asyncio.gather(*map(numbers.submit, (2, 0)), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [ZeroDivisionError] * 2
    assert await numbers.submit(5) == 25


async def test_what_is_given_up_before_its_group_begins_is_left_out() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work)
    first = numbers.submit(1)
    await started()
    given_up, kept = numbers.submit(2), numbers.submit(3)
    given_up.cancel()
    work.may_end.set()
    assert [await first, await kept] == [1, 9]
    assert work.groups == [[1], [3]]


async def test_what_is_given_up_afterwards_disturbs_nobody() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work)
    given_up, kept = numbers.submit(2), numbers.submit(3)
    await started()
    given_up.cancel()
    work.may_end.set()
    assert await kept == 9


async def test_what_comes_in_the_moment_in_which_the_work_ends_is_not_forgotten() -> None:
    numbers = coalescer(Work())
    again: list[asyncio.Future[int]] = []
    first = numbers.submit(1)
    first.add_done_callback(lambda _: again.append(numbers.submit(2)))
    assert await first == 1
    await started()
    assert await asyncio.wait_for(again[0], 10) == 4


async def test_nobody_is_let_in_behind_one_who_has_waited_too_long() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work, patience=0.01)
    first = numbers.submit(1)
    await started()
    second = numbers.submit(2)
    await asyncio.sleep(0.02)
    with pytest.raises(Busy):
        numbers.submit(3)
    work.may_end.set()
    assert [await first, await second] == [1, 4]
    assert await numbers.submit(4) == 16


async def test_nobody_waits_for_ever_when_the_work_is_cancelled() -> None:
    work = Work()
    work.may_end.clear()
    numbers = coalescer(work)
    first = numbers.submit(1)
    await started()
    second = numbers.submit(2)
    [task] = numbers._under_way
    task.cancel()
    outcomes = await asyncio.gather(first, second, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [asyncio.CancelledError] * 2
    work.may_end.set()
    assert await numbers.submit(3) == 9
