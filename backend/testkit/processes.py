"""Whether processes have ended."""

import psutil

from testkit.live import wait_until


def has_ended(process: psutil.Process) -> bool:
    """Return whether it has, also where nobody collects the dead, as in a container."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_ended(processes: list[psutil.Process]) -> None:
    """Wait until all have ended."""
    wait_until(lambda: all(has_ended(process) for process in processes))
