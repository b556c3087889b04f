"""Rendering images in child processes, so that none can hurt the service or another image."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final, TypeVar

from app.domain.metadata import Metadata
from app.imaging.rendering.child import START_SECONDS, Child, Rendition
from app.imaging.rendering.protocol import (
    KilledFromOutside,
    NeedsMemory,
    RenderingFailed,
    RenderLimits,
    TakesTooLong,
    Unrenderable,
)
from app.observability.observer import SILENT, Observer

PROCESSES: Final = 2
"""So that an image that takes long does not delay all others."""
TIME_FACTOR: Final = 3
"""How many times its limit on processor time an image may take, on a busy machine."""

_Result = TypeVar("_Result")


class Renderer:
    """Renders images, each in a process; a process is started when it is first needed.

    Args:
        limits: What one image may take.
        sizes: Longest sides of the thumbnails, in pixels.
        processes: How many images are rendered at once.
        observer: Told how each process ends its work on an image.
    """

    def __init__(
        self,
        limits: RenderLimits,
        sizes: Sequence[int],
        processes: int = PROCESSES,
        observer: Observer = SILENT,
    ) -> None:
        self._observer = observer
        self._limits = limits
        self.sizes = sizes
        self._slots = asyncio.Semaphore(processes)
        self._idle: list[Child] = []

    @property
    def seconds(self) -> float:
        """How long one call may take at most, with the start of a process, once it is its turn."""
        return START_SECONDS + 2 * TIME_FACTOR * self._limits.seconds

    async def render(self, descriptor: int) -> Rendition:
        """Render the image of an open file.

        Raises:
            Unrenderable: If it cannot be rendered.
            RenderingFailed: If the process crashes, or takes too long.
            OSError: If no process can be started.
        """
        return await self._run(Child.render, descriptor)

    async def extract(self, descriptor: int) -> Metadata:
        """Extract the metadata of an open file, none if it has none.

        Raises:
            Unrenderable: If it cannot be read.
            RenderingFailed, OSError: As `render`.
        """
        return await self._run(Child.extract, descriptor)

    async def close(self) -> None:
        """End the processes. Nothing may be in progress."""
        while self._idle:
            await self._idle.pop().kill()

    async def _run(
        self, work: Callable[[Child, int], Awaitable[_Result]], descriptor: int
    ) -> _Result:
        """Run in a process that has succeeded so far, or in a new one.

        A used process has less memory left, so it may not refuse an image, unless for the
        processor time that it takes.
        """
        async with self._slots:
            if child := await self._take_idle():
                try:
                    return await self._run_in(work, child, descriptor)
                except TakesTooLong:
                    raise
                except Unrenderable:
                    pass
            return await self._run_in(work, await self._start(), descriptor)

    async def _start(self) -> Child:
        try:
            return await Child.start(self._limits, self.sizes)
        except (OSError, RenderingFailed):
            self._observer.render_child("not_started")
            raise

    async def _take_idle(self) -> Child | None:
        while self._idle:
            child = self._idle.pop()
            if not child.has_ended:
                return child
            await child.kill()
        return None

    async def _run_in(
        self, work: Callable[[Child, int], Awaitable[_Result]], child: Child, descriptor: int
    ) -> _Result:
        seconds = TIME_FACTOR * self._limits.seconds
        try:
            async with asyncio.timeout(seconds):
                result = await work(child, descriptor)
        except TimeoutError as error:
            self._observer.render_child("killed_time")
            await child.kill()
            words = f"The image is not rendered after {seconds} seconds."
            raise RenderingFailed(words) from error
        except BaseException as error:
            self._observer.render_child(_end(error))
            await child.kill()
            raise
        self._observer.render_child("done")
        self._idle.append(child)
        return result


def _end(error: BaseException) -> str:
    """Return how a process has ended that was of no more use after an error."""
    match error:
        case TakesTooLong():
            return "killed_time"
        case NeedsMemory() | KilledFromOutside():
            return "killed_memory"
        case Unrenderable():
            return "unrenderable"
        case asyncio.CancelledError():
            return "cancelled"
        case _:
            return "crashed"
