"""Child processes: waiting for them while the event loop runs, and how they have ended."""

import asyncio
import signal
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


def outcome_of(status: int) -> str:
    """Return how a process has ended, by what `wait` returns, as the end of a sentence."""
    if status >= 0:
        return f"has ended with status {status}"
    name = signal.Signals(-status).name
    hint = " (kill -9, or the system is short of memory)" if name == "SIGKILL" else ""
    return f"was killed by {name}{hint}"
