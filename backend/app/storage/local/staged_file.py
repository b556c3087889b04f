"""Writing a file, which is renamed to its name once it is durable."""

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.domain.errors import StorageError
from app.observability.reasons import reason
from app.storage.local.calls import Call
from app.storage.local.threads import Threads
from app.storage.local.writer import Writer
from app.storage.local.writer_program import Order, Proof

if TYPE_CHECKING:
    from app.storage.local.blocks import Block

DISCARD_SECONDS: Final = 1.0
"""How long the removal of a discarded file is waited for; on a hanging disk it happens later."""

_log = logging.getLogger(__name__)


class StagedFile:
    """A file in the staging folder, the `target` of which is its name once published.

    What is less than a block is written and published with one order.
    """

    def __init__(
        self, path: str, target: str, writer: Writer, threads: Threads, proof: Proof | None = None
    ) -> None:
        self._path = path
        self._target = target
        self._proof = proof
        self._writer = writer
        self._threads = threads
        self._block: Block | None = None
        self._size = 0
        """Bytes that were written to the file."""
        self._exists = False

    async def write(self, data: bytes) -> None:
        """Append bytes; they are written to the disk a block at a time."""
        rest = memoryview(data)
        while rest:
            if self._block is None:
                self._block = self._writer.take_block()
            rest = rest[self._block.fill(rest) :]
            if self._block.is_full:
                await self._order()

    async def seal(self) -> None:
        """Write what is held, and hold nothing until `publish`."""
        if self._block is not None and self._block.filled:
            await self._order()
        self._release_block()

    async def publish(self) -> bytes | None:
        """Make the file durable under its name."""
        checksum = await self._order(self._target)
        self._release_block()
        return checksum

    async def discard(self) -> None:
        """Remove the file, published or not."""
        self._release_block()
        if not self._exists:
            return
        path = self._path
        removal = Call("unlink", path, self._remove, must_run=True, seconds=DISCARD_SECONDS)
        try:
            await self._threads.run(removal)
        except StorageError as error:
            name = Path(path).name
            _log.error("could not remove %s, which fsck will find: %s", name, reason(error))

    async def _order(self, target: str | None = None) -> bytes | None:
        """Have the block written, and with a target the file published."""
        begin, length = (self._block.begin, self._block.filled) if self._block else (0, 0)
        order = Order(self._path, self._size, begin, length, target, self._proof)
        self._exists = True
        checksum = await self._writer.carry_out(order, self._block)
        self._size += length
        if self._block:
            self._block.filled = 0
        return checksum

    def _release_block(self) -> None:
        if self._block is not None:
            self._writer.release(self._block)
            self._block = None

    def _remove(self) -> None:
        for name in (self._path, self._target):
            Path(name).unlink(missing_ok=True)
