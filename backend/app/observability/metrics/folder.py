"""The folder in memory where the processes of a service keep their metrics (ADR 68)."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

VARIABLE: Final = "PROMETHEUS_MULTIPROC_DIR"
"""By which prometheus-client is told the folder, before it is imported."""

_MEMORY: Final = Path("/dev/shm")  # noqa: S108 - a folder of our own below it
"""Not on a disk, whose stalls would hold up whoever counts."""


@contextmanager
def metrics_folder() -> Iterator[Path]:
    """Make the folder, and remove it at the end of the block."""
    parent = _MEMORY if os.access(_MEMORY, os.W_OK) else None
    folder = tempfile.mkdtemp(prefix=f"image-host-metrics-{os.getpid()}-", dir=parent)
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def forget_gauges(folder: Path, place: str) -> None:
    """Remove what the process of a place had of something, for it has ended; its counts stay."""
    for file in folder.glob(f"gauge_live*_{place}.db"):
        file.unlink(missing_ok=True)
