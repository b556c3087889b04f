"""A process that renders one image again and again, and prints what that took.

    python -m bench.render_process (libvips | Pillow) FILE SECONDS
    python -m bench.render_process worker URL FOLDER SECONDS ID...

The worker renders each id once, for so many seconds; the first one is not counted.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import psutil

from app.database.engine import Database
from app.imaging.rendering.protocol import RenderLimits
from app.imaging.rendering.renderer import Renderer
from app.services.rendering import Rendering
from app.storage.local.backend import LocalStorage
from bench.memory import peak_with_children
from bench.render_alone import SIZES, WAYS

LIMITS: Final = RenderLimits(memory_mb=512, seconds=30, max_pixels=100_000_000)


async def work(url: str, folder: Path, seconds: float, image_ids: Sequence[UUID]) -> None:
    """Render as a worker does: row, original, child process, thumbnails, row."""
    database, storage = Database(url), LocalStorage(folder)
    renderer = Renderer(LIMITS, sorted(SIZES))
    rendering = Rendering(database, storage, renderer)
    await rendering.render(image_ids[0])
    begin, begin_of_work, count = time.monotonic(), _worked(), 0
    for image_id in image_ids[1:]:
        await rendering.render(image_id)
        count += 1
        if time.monotonic() - begin > seconds:
            break
    worked, passed = _worked() - begin_of_work, time.monotonic() - begin
    peak = peak_with_children(os.getpid())
    await renderer.close()
    await storage.close()
    await database.close()
    _report(worked, passed, count, peak)


def alone(way: str, file: Path, seconds: float) -> None:
    """Render with a library alone."""
    render = WAYS[way]
    render(file)
    begin, begin_of_work, count = time.monotonic(), _worked(), 0
    while time.monotonic() - begin < seconds:
        render(file)
        count += 1
    passed = time.monotonic() - begin
    _report(_worked() - begin_of_work, passed, count, peak_with_children(os.getpid()))


def _worked() -> float:
    """Return the processor time of this process and its children, which all live on."""
    process = psutil.Process()
    times = [each.cpu_times() for each in (process, *process.children())]
    return sum(each.user + each.system for each in times)


def _report(worked: float, passed: float, count: int, peak: float) -> None:
    each = 1000 / max(count, 1)
    print(json.dumps({"CPU ms": worked * each, "ms": passed * each, "MiB": peak}))


if __name__ == "__main__":
    if sys.argv[1] == "worker":
        url, folder, seconds, *ids = sys.argv[2:]
        asyncio.run(work(url, Path(folder), float(seconds), list(map(UUID, ids))))
    else:
        alone(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
