"""A copy while the service deletes and reads: every order of their steps, with abrupt ends."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from app.domain.errors import ObjectNotFound
from app.services.copying import Copier, Outcome, Pair
from app.storage.memory import MemoryStorage
from app.storage.moving import MovingStorage
from testkit.interleaving import Process, Step, SteppedStorage, at_once, every_order
from testkit.storages import put, read_all

KEY = "0123456789abcdef0123456789abcdef.jpg"
DATA = b"the bytes of an image"


class World:
    """An object in the source, and the processes that work with it."""

    def __init__(self) -> None:
        self.source, self.destination = MemoryStorage(), MemoryStorage()
        at_once(put(self.source, KEY, DATA))
        self.outcomes: list[Outcome] = []
        self.found: list[bytes | None] = []

    def copier(self, *, again: bool = False) -> Process:
        """Copy what the source has; again, after a run that was killed."""

        async def copy(source: SteppedStorage, destination: SteppedStorage) -> None:
            copier = Copier(source, destination)
            if again:
                await copier.settle([KEY])
            copies = {info.key: info.size async for info in destination.list()}
            async for info in source.list():
                pair = Pair(info, copies.get(info.key))
                self.outcomes.append(await copier.bring(pair, sha256(DATA).digest()))

        return Process(lambda step: copy(*self._places(step)))

    def deleter(self) -> Process:
        return Process(lambda step: self._service(step).delete(KEY))

    def reader(self) -> Process:
        async def read(service: MovingStorage) -> None:
            try:
                self.found.append(await read_all(await service.open(KEY)))
            except ObjectNotFound:
                self.found.append(None)

        return Process(lambda step: read(self._service(step)))

    def keys(self) -> tuple[list[str], list[str]]:
        async def keys(storage: MemoryStorage) -> list[str]:
            return [info.key async for info in storage.list()]

        return at_once(keys(self.source)), at_once(keys(self.destination))

    def _places(self, step: Step) -> tuple[SteppedStorage, SteppedStorage]:
        return SteppedStorage(step, self.source), SteppedStorage(step, self.destination)

    def _service(self, step: Step) -> MovingStorage:
        source, destination = self._places(step)
        return MovingStorage(destination, source)


def run_all(choose: Callable[[int], int], *processes: Process) -> None:
    """Let processes take their steps in an order that is chosen."""
    while running := [process for process in processes if not process.is_over]:
        running[choose(len(running))].advance()


def run_to_end(
    choose: Callable[[int], int], end: Callable[[Process], None], copier: Process, other: Process
) -> None:
    """Let two processes take their steps, and end the first one after any of its own."""
    while running := [process for process in (copier, other) if not process.is_over]:
        choice = choose(len(running) + (copier in running))
        if choice == len(running):
            end(copier)
            break
        running[choice].advance()
    run_all(choose, copier, other)


ENDS: dict[str, Callable[[Process], None]] = {"killed": Process.kill, "cancelled": Process.cancel}


def test_a_delete_beside_a_copy_leaves_nothing() -> None:
    def run(choose: Callable[[int], int]) -> None:
        world = World()
        run_all(choose, world.copier(), world.deleter())
        assert world.keys() == ([], [])
        outcomes.update(world.outcomes)

    outcomes: set[Outcome] = set()
    assert every_order(run) > 20
    assert outcomes == {Outcome.COPIED, Outcome.DELETED}


@pytest.mark.parametrize("end", ENDS)
def test_a_delete_beside_a_copy_that_ends_abruptly_leaves_nothing_after_the_next_run(
    end: str,
) -> None:
    def run(choose: Callable[[int], int]) -> None:
        world = World()
        run_to_end(choose, ENDS[end], world.copier(), world.deleter())
        run_all(choose, world.copier(again=True))
        assert world.keys() == ([], [])

    assert every_order(run) > 60


@pytest.mark.parametrize("end", ENDS)
def test_a_copy_that_ends_abruptly_loses_nothing_and_the_next_run_has_it(end: str) -> None:
    def run(choose: Callable[[int], int]) -> None:
        world = World()
        run_to_end(choose, ENDS[end], world.copier(), world.reader())
        run_all(choose, world.copier(again=True))
        assert world.found == [DATA]
        assert world.keys() == ([KEY], [KEY])

    assert every_order(run) > 60


def test_a_reader_finds_the_object_unless_a_delete_has_begun() -> None:
    def run(choose: Callable[[int], int]) -> None:
        world = World()
        run_all(choose, world.copier(), world.reader())
        assert world.found == [DATA]

    assert every_order(run) > 20


def test_what_was_answered_as_deleted_is_not_found_once_no_copy_is_made() -> None:
    def run(choose: Callable[[int], int]) -> None:
        world = World()
        copier, deleter = world.copier(), world.deleter()
        run_all(choose, copier, deleter)
        run_all(choose, world.reader())
        assert world.found == [None]

    assert every_order(run) > 20
