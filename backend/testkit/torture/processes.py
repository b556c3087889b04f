"""Processes as the system shows them: which are there, what they run, and how they are ended."""

import signal
import time
from contextlib import suppress

import psutil


def children(process: psutil.Process) -> list[psutil.Process]:
    """List the processes that a process has started and that have not ended."""
    try:
        return list(process.children())
    except psutil.NoSuchProcess:
        return []


def kill(*processes: psutil.Process) -> None:
    """Kill processes as `kill -9` does."""
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(signal.SIGKILL)


def stop(processes: list[psutil.Process], seconds: float) -> None:
    """Let processes do nothing for a time."""
    try:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.suspend()
        time.sleep(seconds)
    finally:
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                process.resume()


def busy_renderers(worker: psutil.Process) -> list[psutil.Process]:
    """List the processes with which a worker renders an image at this moment."""
    renderers = running("app.imaging.rendering.program", children(worker))
    return [one for one in renderers if _status(one) == psutil.STATUS_RUNNING]


def _status(process: psutil.Process) -> str:
    try:
        return str(process.status())
    except psutil.NoSuchProcess:
        return psutil.STATUS_DEAD


def running(module: str, processes: list[psutil.Process]) -> list[psutil.Process]:
    """List those of some processes that run a module of Python."""
    return [process for process in processes if module in " ".join(_command(process))]


def _command(process: psutil.Process) -> list[str]:
    try:
        return list(process.cmdline())
    except psutil.NoSuchProcess:
        return []
