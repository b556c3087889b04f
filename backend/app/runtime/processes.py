"""Waiting for child processes, while the event loop runs."""

import asyncio
import subprocess
from time import monotonic
from typing import Final

_POLL_SECONDS: Final = 0.01


async def ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    """Return whether a process ends within so many seconds; if so, it is collected."""
    deadline = monotonic() + seconds
    while process.poll() is None:
        if monotonic() > deadline:
            return False
        await asyncio.sleep(_POLL_SECONDS)
    return True
