"""The memory of all uploads together: never more than the budget, and never a standstill."""

import asyncio
import random

import pytest

from app.domain.errors import StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3 import budget
from app.storage.s3.budget import Buffer, ByteBudget

PART = 64
SIZE = 4 * PART


class Uploads:
    """Uploads that send their parts to nobody, and what they hold at a time."""

    def __init__(self) -> None:
        self.budget = ByteBudget(SIZE, PART)
        self.buffers: list[Buffer] = []
        self.most_held = 0
        self.order: list[int] = []

    def begin(self) -> Buffer:
        self.buffers.append(self.budget.buffer())
        return self.buffers[-1]

    async def upload(self, size: int, piece: int) -> None:
        """Write a file by pieces, send each part, and end."""
        buffer = self.begin()
        left = size
        while left:
            data = memoryview(bytes(min(piece, left)))
            while data:
                filled = await buffer.fill(data)
                data, left = data[filled:], left - filled
                self.most_held = max(self.most_held, sum(one.held for one in self.buffers))
                await asyncio.sleep(0)
                if buffer.is_full:
                    await self.send(buffer)
        await self.send(buffer)
        self.order.append(buffer.number)

    async def send(self, buffer: Buffer) -> None:
        assert len(buffer.send()) == buffer.held
        await asyncio.sleep(0)
        buffer.release()


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


async def fill(buffer: Buffer, size: int) -> None:
    assert await buffer.fill(memoryview(bytes(size))) == size


async def exhaust(uploads: Uploads) -> list[Buffer]:
    """Take all memory by parts that are not complete; the first upload is the favoured one."""
    buffers = [uploads.begin() for _ in range(7)]
    for buffer in [*buffers[:6], buffers[0], buffers[6]]:
        await fill(buffer, PART // 2 - (buffer.held > 0))
    return buffers


async def test_uploads_whose_parts_fill_all_memory_are_sent_one_after_another(
    uploads: Uploads,
) -> None:
    async with asyncio.timeout(30):
        await asyncio.gather(*(uploads.upload(5 * PART // 2, 3) for _ in range(40)))
    assert SIZE - PART < uploads.most_held <= SIZE
    assert sorted(uploads.order) == list(range(40))


async def test_memory_goes_to_the_upload_that_was_begun_first(uploads: Uploads) -> None:
    await asyncio.gather(*(uploads.upload(2 * PART, 16) for _ in range(20)))
    assert uploads.order[:3] != uploads.order[-3:]
    assert max(uploads.order[:5]) < min(uploads.order[-5:])


@pytest.mark.parametrize("seed", range(20))
async def test_uploads_that_are_cancelled_at_any_time_leave_all_memory(seed: int) -> None:
    uploads, randomly = Uploads(), random.Random(seed)  # noqa: S311 - no secret

    async def upload(size: int, piece: int) -> None:
        before = len(uploads.buffers)
        try:
            await uploads.upload(size, piece)
        finally:
            uploads.buffers[before].release()  # as a discarded object does

    tasks = []
    for _ in range(20):
        size, piece = randomly.randrange(1, 4 * PART), randomly.randrange(1, 100)
        tasks.append(asyncio.create_task(upload(size, piece)))
        await asyncio.sleep(0)
        randomly.choice(tasks).cancel()
    async with asyncio.timeout(30):
        await asyncio.wait(tasks)
    assert uploads.most_held <= SIZE
    for _ in range(SIZE // PART):
        await fill(uploads.begin(), PART)


async def test_a_wait_for_memory_has_a_deadline(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "WAIT_SECONDS", 0.0)
    _, second, third, *_ = await exhaust(uploads)
    with pytest.raises(StorageUnavailable) as raised:
        await fill(second, 1)
    assert "uploads wait for memory" in reason(raised.value)
    third.release()
    await fill(second, 1)


async def test_a_slow_client_that_has_the_last_memory_does_not_keep_it(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "FAVOUR_SECONDS", 0.0)
    monkeypatch.setattr(budget, "_CHECK_SECONDS", 0.01)
    slow, second, *_ = await exhaust(uploads)
    async with asyncio.timeout(30):
        await fill(second, PART // 2)
    with pytest.raises(StorageUnavailable) as raised:
        await fill(slow, 1)
    assert "the client was too slow" in reason(raised.value)
    with pytest.raises(StorageUnavailable):
        slow.send()


async def test_a_part_that_is_on_its_way_is_not_taken_from_its_upload(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "FAVOUR_SECONDS", 0.0)
    monkeypatch.setattr(budget, "WAIT_SECONDS", 0.05)
    monkeypatch.setattr(budget, "_CHECK_SECONDS", 0.01)
    first, second, *_ = await exhaust(uploads)
    sent = first.send()
    with pytest.raises(StorageUnavailable):
        await fill(second, 1)
    assert len(sent) == PART - 1
    first.release()
    await fill(first, 1)
