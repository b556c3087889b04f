"""The bytes of an upload that are not sent yet, at most a part."""

from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from typing import Final

from app.domain.errors import StorageUnavailable
from app.runtime.batching import Overloaded
from app.storage.s3.budget import ByteBudget, Share

_PIECES: Final = 6
"""How many pieces are kept as they arrived: all of a file of 1 MB, as a rule."""


class Buffer(Share):
    """The bytes of one upload, and their share of the memory.

    Copying them takes long: each page must be cleared and mapped first. So they are kept as they
    arrived, unless they are many, or memory is scarce: then they go to pages of their own, which
    the system has back at once, where a heap would be left in pieces.

    Args:
        budget: Grants the memory.
    """

    def __init__(self, budget: ByteBudget) -> None:
        super().__init__()
        self._budget = budget
        self._pieces: list[memoryview] = []
        self._pages: mmap | None = None
        self._in_pages = 0

    @property
    def is_full(self) -> bool:
        """Whether it holds a whole part."""
        return self.held == self._budget.part

    async def fill(self, data: memoryview) -> int:
        """Keep as many bytes as there is room for in the part; return how many.

        Args:
            data: Bytes that do not change any more.

        Raises:
            StorageUnavailable: If there is no memory for them, or they were taken away.
        """
        size = min(len(data), self._budget.part - self.held)
        self._require_bytes()
        await self._budget.grant(self, size)
        self._require_bytes()
        self._pieces.append(data[:size])
        if self._pages or len(self._pieces) > _PIECES or self._budget.is_scarce:
            self._copy()
        return size

    def send(self) -> list[memoryview]:
        """Return all bytes, which count until they are released.

        Raises:
            StorageUnavailable: If they were taken away.
        """
        self._require_bytes()
        self.is_sent = True
        if self._pages is None:
            return self._pieces
        return [memoryview(self._pages)[: self._in_pages]]

    def release(self) -> None:
        """Hold nothing any more, and be ready for the next part."""
        self._pieces, self._pages, self._in_pages = [], None, 0
        self.is_sent = False
        self._budget.release(self)

    def lose(self) -> None:
        """Hold nothing any more; the upload fails."""
        super().lose()
        self.release()

    def _copy(self) -> None:
        if self._pages is None:
            self._pages = mmap(-1, self._budget.part, flags=MAP_PRIVATE | MAP_ANONYMOUS)
        for piece in self._pieces:
            begin, self._in_pages = self._in_pages, self._in_pages + len(piece)
            self._pages[begin : self._in_pages] = piece
        self._pieces.clear()

    def _require_bytes(self) -> None:
        if self.is_lost:
            words = "the client was too slow while other uploads waited for memory"
            raise StorageUnavailable from Overloaded(words)
