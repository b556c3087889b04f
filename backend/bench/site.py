"""What is measured: one folder with a filled image host, and the servers over it."""

import asyncio
import os
import shutil
from contextlib import ExitStack
from functools import cached_property
from itertools import chain
from pathlib import Path
from random import Random
from typing import Any, Final

from sqlalchemy.engine import URL

from app.embedded import embedded_postgres, shared_postgres
from app.image_types import ImageType
from bench import images, seed, servers
from bench.images import Picture
from bench.servers import Server
from bench.wrk import BenchmarkFailed

IMAGES: Final = 100_000
SMALL: Final = Picture(ImageType.JPEG, 42_000)
LARGE: Final = Picture(ImageType.JPEG, 947_000)
UPLOADED_NAME: Final = "benchmark.jpg"
"""By which uploads of a measurement are found again, to be removed."""

_ROOM: Final = 9_000_000_000
"""Bytes: 4.2 GB of pictures, a million rows, and the uploads of one run."""
_SEED: Final = 2026


class Site:
    """A folder with `IMAGES` images of 42 KB, each its own file, and one of 947 KB.

    Servers start when they are first asked for, and stop with `opened`.
    """

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self._folder = folder
        self._opened = opened
        self._data = folder / "host"
        self._usual = folder / "usual"

    @property
    def images(self) -> Path:
        """The folder of the service's files."""
        return self._data / "images"

    def build(self) -> None:
        """Fill the folder, unless an earlier run has done so."""
        whole = self._folder / "host.whole"
        if whole.exists():
            return
        free = shutil.disk_usage(self._folder).free
        if free < _ROOM:
            raise BenchmarkFailed(
                f"{self._folder} has room for {free / 1e9:.1f} GB; the benchmark writes up to "
                f"{_ROOM / 1e9:.0f} GB (set TMPDIR, or --keep a folder on another disk)."
            )
        print(f"Building {IMAGES:,} images of {SMALL.size // 1000} KB, 4.2 GB", flush=True)
        shutil.rmtree(self._data, ignore_errors=True)
        chance = Random(_SEED)  # noqa: S311 - for variety
        drawn = chain(images.rows(IMAGES, [SMALL], chance), images.rows(1, [LARGE], chance))
        with_files = images.write_files(self.images, drawn, chance)
        with embedded_postgres(self._data / "postgres") as url:
            asyncio.run(seed.fill(url, self.images, IMAGES + 1, with_files))
        os.sync()
        whole.touch()

    @cached_property
    def service(self) -> Server:
        """The real service, one worker."""
        return self._opened.enter_context(servers.service(self._data))

    @cached_property
    def database_url(self) -> URL:
        """The service's own database, which the references use too."""
        _ = self.service.pid  # runs the database
        return self._opened.enter_context(shared_postgres(self._data / "postgres"))

    @cached_property
    def references(self) -> Server:
        """The references, with the same rows in a table of their own."""
        server = self._opened.enter_context(servers.references(self._usual, self.database_url))
        self.execute("TRUNCATE usual_images")
        self.execute(
            """INSERT INTO usual_images
               SELECT id, filename, $1 || left(storage_key, 2) || '/' || storage_key,
                      content_type, file_size, created_at
               FROM images""",
            f"{self.images}/",
        )
        self.execute("VACUUM (ANALYZE) usual_images")
        self.execute("CHECKPOINT")
        return server

    @cached_property
    def nginx(self) -> Server:
        """The limit that the machine sets."""
        return self._opened.enter_context(servers.nginx(self._folder / "nginx", self.images))

    @property
    def postgresql_version(self) -> str:
        """Of the database that the service and the references use."""
        version: str = self.execute("SHOW server_version")[0]
        return version

    def keys(self, picture: Picture) -> list[str]:
        """List the storage keys of the images of this size; they begin with the id."""
        return self.execute("SELECT storage_key FROM images WHERE file_size = $1", picture.size)

    def write(self, name: str, content: str | bytes) -> str:
        """Keep something for wrk in a file, and name it."""
        file = self._folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(file)

    def remove_uploads(self) -> None:
        """Take back what a measurement uploaded, so that the next one finds the same."""
        for key in self.execute(
            "DELETE FROM images WHERE filename = $1 RETURNING storage_key", UPLOADED_NAME
        ):
            (self.images / key[:2] / key).unlink()
        self.execute("DELETE FROM usual_images WHERE filename = $1", UPLOADED_NAME)
        for file in self._usual.iterdir():
            file.unlink()
        self.execute("VACUUM images")
        self.execute("VACUUM usual_images")
        os.sync()

    def execute(self, statement: str, *arguments: object) -> list[Any]:
        """Carry out a statement; give the first column of what it returns."""

        async def execute() -> list[Any]:
            async with seed.connect(self.database_url) as connection:
                return [row[0] for row in await connection.fetch(statement, *arguments)]

        return asyncio.run(execute())
