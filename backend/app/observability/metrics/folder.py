"""The folder in memory where the processes of a service keep their metrics (ADR 68)."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""By which prometheus-client is told the folder, before it is imported."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own below it
"""Not on a disk, whose stalls would hold up whoever counts."""
_PREFIX: Final = "image-host-metrics-"


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """Make the folder, and remove it at the end of the block, or at the next start."""
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    for left in parent.glob(f"{_PREFIX}*"):
        with suppress(OSError), _locked(left):  # of a service that was killed
            shutil.rmtree(left)
    made = Path(tempfile.mkdtemp(prefix="image-host-", dir=parent))
    with _locked(made):  # before it has a name by which others would find it
        folder = made.rename(made.with_name(made.name.replace("image-host-", _PREFIX)))
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder, which is that of a service that runs.

    Raises:
        OSError: If another one holds it, or the folder is gone.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)


def forget_gauges(folder: Path, place: str) -> None:
    """Remove what the process of a place had of something, for it has ended; its counts stay."""
    for file in folder.glob(f"gauge_live*_{place}.db"):
        file.unlink(missing_ok=True)
