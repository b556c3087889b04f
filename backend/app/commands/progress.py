"""The progress that commands show on a terminal."""

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, TypeVar

from tqdm import tqdm

REFRESH_SECONDS: Final = 1.0

_Count = TypeVar("_Count")


async def counted(count: Coroutine[Any, Any, _Count], what: str = "images") -> _Count:
    """Return the result of `count`; on a terminal, show for how long it has counted."""
    with tqdm(
        desc=f"Counting {what}", bar_format="{desc}, {elapsed}", leave=False, disable=None
    ) as bar:
        counting = asyncio.create_task(count)
        try:
            while not counting.done():
                await asyncio.wait([counting], timeout=REFRESH_SECONDS)
                bar.refresh()
        finally:
            counting.cancel()
    return counting.result()
