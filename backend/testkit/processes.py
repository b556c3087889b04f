"""Processes of tests: which one is a database's, and whether they have ended."""

from pathlib import Path

import psutil

from testkit.live import wait_until


def postmaster(folder: Path) -> psutil.Process:
    """Return the first process of the embedded PostgreSQL over a folder."""
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


def has_ended(process: psutil.Process) -> bool:
    """Return whether it has, also where nobody collects the dead, as in a container."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_ended(processes: list[psutil.Process]) -> None:
    """Wait until all have ended."""
    wait_until(lambda: all(has_ended(process) for process in processes))
