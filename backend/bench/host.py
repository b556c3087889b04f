"""An image host on the disk: its files, and its database while a service runs over it."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from tqdm import tqdm

from app.database.embedded import embedded_postgres, shared_postgres
from bench import seed
from bench.forms import UPLOADED_NAME
from bench.images import ImageSpec, Row
from bench.wrk import BenchmarkFailed

_ROOM: Final = 10_000_000_000
"""Bytes: 4.2 GB of images, 1 GB for a million, and the uploads of one run."""


class Host:
    """A data folder of the service."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.images = data / "images"

    def fill(self, count: int, drawn: Iterator[Row]) -> None:
        """Add images to the new host, unless an earlier run has done so.

        Raises:
            BenchmarkFailed: If there is no room.
        """
        whole = self.data.with_suffix(".whole")
        if whole.exists():
            return
        free = shutil.disk_usage(self.data.parent).free
        if free < _ROOM:
            raise BenchmarkFailed(
                f"{self.data.parent} has room for {free / 1e9:.1f} GB; the benchmark writes up to "
                f"{_ROOM / 1e9:.0f} GB (--keep FOLDER uses another disk)."
            )
        shutil.rmtree(self.data, ignore_errors=True)
        tqdm.write(f"Filling a host with {count:,} images")
        with embedded_postgres(self.data / "postgres") as url:
            asyncio.run(seed.fill(url, self.images, count, drawn))
        os.sync()  # or the disk would be busy with it while others are measured
        whole.touch()

    def execute(self, statement: str, *arguments: object) -> list[Any]:
        """Carry out a statement on the database; return its rows."""
        with shared_postgres(self.data / "postgres") as url:
            return asyncio.run(seed.execute(url, statement, *arguments))

    def keys(self, spec: ImageSpec) -> list[str]:
        """List the storage keys of the images of this size; they begin with the id."""
        statement = "SELECT storage_key FROM images WHERE file_size = $1"
        return [key for (key,) in self.execute(statement, spec.size)]

    def remove_uploads(self) -> int:
        """Take back what a measurement uploaded, for the next one to find the same; count it."""
        statement = "DELETE FROM images WHERE filename = $1 RETURNING storage_key"
        rows = self.execute(statement, UPLOADED_NAME)
        for (key,) in rows:
            (self.images / key[:2] / key).unlink()
        self.execute("VACUUM images")
        os.sync()
        return len(rows)
