"""Processes of tests: which are a database's, and whether they have ended."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil

from testkit.live import wait_until


def postmaster(folder: Path) -> psutil.Process:
    """Return the first process of the embedded PostgreSQL over a folder."""
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


@contextmanager
def hanging_database(folder: Path) -> Iterator[None]:
    """Let all processes of the embedded PostgreSQL over a folder hang during the block.

    The first one stops first and continues last: while it runs, others start and end.
    """
    server, others = postmaster(folder), list[psutil.Process]()
    server.suspend()
    try:
        wait_until(lambda: server.status() == psutil.STATUS_STOPPED)
        others += server.children()
        for process in others:
            process.suspend()
        yield
    finally:
        for process in (*others, server):
            process.resume()


def has_ended(process: psutil.Process) -> bool:
    """Return whether it has, also where nobody collects the dead, as in a container."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


def assert_ended(processes: list[psutil.Process]) -> None:
    """Wait until all have ended."""
    wait_until(lambda: all(has_ended(process) for process in processes))
