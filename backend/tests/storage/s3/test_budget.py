"""The memory of all uploads together: never more than the budget, and never a standstill."""

import asyncio
import random

import pytest

from app.domain.errors import StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3 import budget
from app.storage.s3.budget import BUDGET, WAIT_SECONDS, ByteBudget
from app.storage.s3.buffer import Buffer
from testkit.virtual_time import VirtualTime

PART = 64
SIZE = 4 * PART
PIECE = memoryview(bytes(64 * 1024))
SENDING_SECONDS = 0.2


class Uploads:
    """Uploads that send their parts to nobody, and what they hold at a time."""

    def __init__(self) -> None:
        self.budget = ByteBudget(SIZE, PART)
        self.buffers: list[Buffer] = []
        self.most_held = 0
        self.order: list[int] = []

    def begin(self) -> Buffer:
        self.buffers.append(Buffer(self.budget))
        return self.buffers[-1]

    async def upload(self, size: int, piece: int) -> None:
        """Write a file by pieces, send each part, and end."""
        buffer = self.begin()
        number = len(self.buffers) - 1
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
        self.order.append(number)

    async def send(self, buffer: Buffer) -> None:
        assert sum(map(len, buffer.send())) == buffer.held
        await asyncio.sleep(0)
        buffer.release()


@pytest.fixture
def uploads() -> Uploads:
    return Uploads()


async def fill(buffer: Buffer, size: int) -> None:
    assert await buffer.fill(memoryview(bytes(size))) == size


async def exhaust(uploads: Uploads) -> list[Buffer]:
    """Take all memory but what the two fullest parts lack; the first two uploads have these."""
    buffers = [uploads.begin() for _ in range(5)]
    for buffer, size in zip(buffers, (60, 60, 50, 50, 28), strict=True):
        await fill(buffer, size)
    return buffers


async def test_uploads_whose_parts_fill_all_memory_are_sent_one_after_another(
    uploads: Uploads,
) -> None:
    async with asyncio.timeout(30):
        await asyncio.gather(*(uploads.upload(5 * PART // 2, 3) for _ in range(40)))
    assert SIZE - PART < uploads.most_held <= SIZE
    assert sorted(uploads.order) == list(range(40))


async def test_memory_goes_to_the_part_that_was_begun_first(uploads: Uploads) -> None:
    await asyncio.gather(*(uploads.upload(PART, 16) for _ in range(20)))
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


async def test_what_the_fullest_parts_lack_is_kept_for_them(uploads: Uploads) -> None:
    first, second, third, *_ = await exhaust(uploads)
    waiting = asyncio.create_task(fill(third, 1))
    await asyncio.sleep(0)
    await fill(first, 4)
    await fill(second, 4)
    assert not waiting.done()
    first.release()
    await waiting


async def test_a_wait_for_memory_has_a_deadline(
    uploads: Uploads, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget, "WAIT_SECONDS", 0.0)
    *_, third, fourth, _ = await exhaust(uploads)
    with pytest.raises(StorageUnavailable) as raised:
        await fill(third, 1)
    assert "1 uploads wait for memory" in reason(raised.value)
    fourth.release()
    await fill(third, 1)


def test_all_bytes_are_sent_in_their_order_however_many_pieces_they_came_in(
    virtual: VirtualTime,
) -> None:
    async def main() -> None:
        for length in (1, 7, PART):
            buffer = Buffer(ByteBudget(SIZE, PART))
            content = bytes(range(PART))
            for begin in range(0, PART, length):
                piece = memoryview(content[begin : begin + length])
                assert await buffer.fill(piece) == len(piece)
            assert b"".join(buffer.send()) == content

    virtual.run(main())


async def test_pieces_are_copied_once_more_than_half_of_the_memory_is_taken(
    uploads: Uploads,
) -> None:
    content = memoryview(bytes(PART))
    buffers = [uploads.begin() for _ in range(3)]
    for buffer in buffers:
        await buffer.fill(content)
    (first,), (second,), (third,) = (buffer.send() for buffer in buffers)
    assert first.obj is second.obj is content.obj
    assert third.obj is not content.obj
    assert third == content


@pytest.fixture
def virtual(monkeypatch: pytest.MonkeyPatch) -> VirtualTime:
    """Let the budget live in virtual time."""
    loop = VirtualTime()
    monkeypatch.setattr(budget, "monotonic", loop.time)
    return loop


async def upload_slowly(
    memory: ByteBudget, begin: float, size: int, rate: float, first: int = 0
) -> None:
    """Upload a file from some second on, at so many bytes a second; of it `first` at once."""
    await asyncio.sleep(begin)
    buffer = Buffer(memory)
    left, seconds = size, 0.0
    try:
        while left:
            piece = PIECE[: min(len(PIECE), left)]
            await asyncio.sleep(seconds)
            while piece:
                filled = await buffer.fill(piece)
                piece, left = piece[filled:], left - filled
                if buffer.is_full:
                    await send_slowly(buffer)
            seconds = len(PIECE) / rate if size - left >= first else 0.0
        await send_slowly(buffer)
    finally:
        buffer.release()


async def send_slowly(buffer: Buffer) -> None:
    buffer.send()
    await asyncio.sleep(SENDING_SECONDS)
    buffer.release()


def test_uploads_over_slow_lines_share_the_memory_and_are_all_stored(virtual: VirtualTime) -> None:
    async def main() -> None:
        memory = ByteBudget()
        uploads = (upload_slowly(memory, 2.0 * i, 6_000_000, 100_000) for i in range(40))
        assert 3 * BUDGET < 40 * 6_000_000
        await asyncio.gather(*uploads)

    virtual.run(main())


def test_clients_that_keep_the_memory_without_sending_lose_it_to_others(
    virtual: VirtualTime,
) -> None:
    async def main() -> None:
        memory = ByteBudget()
        idle = [
            asyncio.create_task(upload_slowly(memory, 0.0, 50_000_000, 1024, first=1_000_000))
            for _ in range(60)
        ]
        await asyncio.gather(
            *(upload_slowly(memory, 1.0 + 5 * i, 4_000_000, 1_000_000) for i in range(20))
        )
        for one in idle:
            one.cancel()
        ends = await asyncio.gather(*idle, return_exceptions=True)
        lost = [end for end in ends if isinstance(end, StorageUnavailable)]
        assert any("the client was too slow" in reason(end) for end in lost)

    virtual.run(main())


def test_a_part_that_is_on_its_way_and_one_that_waits_are_not_slow(virtual: VirtualTime) -> None:
    async def main() -> None:
        uploads = Uploads()
        first, second, third, fourth, fifth = await exhaust(uploads)
        sent = [buffer.send() for buffer in (first, second, fourth, fifth)]
        with pytest.raises(StorageUnavailable):
            await fill(third, 1)
        assert virtual.time() == WAIT_SECONDS
        assert [sum(map(len, parts)) for parts in sent] == [60, 60, 50, 28]
        first.release()
        await fill(third, 1)

    virtual.run(main())
