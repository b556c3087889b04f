"""What is measured: one folder with a filled image host, and the servers over it."""

import asyncio
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any, Final

from sqlalchemy.engine import URL

from app.embedded import embedded_postgres, shared_postgres
from app.image_types import ImageType
from bench import images, seed, servers
from bench.forms import UPLOADED_NAME
from bench.images import Picture, Row
from bench.servers import Server
from bench.wrk import BenchmarkFailed

IMAGES: Final = 100_000
MILLION: Final = 1_000_000
SMALL: Final = Picture(ImageType.JPEG, 42_000)
LARGE: Final = Picture(ImageType.JPEG, 947_000)

_ROOM: Final = 10_000_000_000
"""Bytes: 4.2 GB of pictures, 1 GB for a million, and the uploads of one run."""
_SEED: Final = 2026


class Site:
    """Hosts in one folder, and servers over them, each made when it is first asked for.

    The host: `IMAGES` images of 42 KB, each its own file, and one of 947 KB. The large host: a
    million images like those of users. Servers stop with `opened`.
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

    @cached_property
    def service(self) -> Server:
        """The real service, one worker, over the host."""
        chance = Random(_SEED)  # noqa: S311 - for variety
        drawn = chain(images.rows(IMAGES, [SMALL], chance), images.rows(1, [LARGE], chance))
        self._fill("host", IMAGES + 1, images.write_files(self.images, drawn, chance))
        return self._opened.enter_context(servers.service(self._data))

    @contextmanager
    def large_service(self) -> Iterator[Server]:
        """Run the real service over the large host."""
        with servers.service(self.large_host()) as server:
            yield server

    def large_host(self) -> Path:
        """Give the data folder of a million images."""
        chance = Random(_SEED)  # noqa: S311 - for variety
        drawn = images.rows(MILLION, images.pictures_of_users(chance), chance)
        data = self._folder / "large"
        self._fill("large", MILLION, images.link_files(data / "images", drawn, chance))
        return data

    @contextmanager
    def fresh_service(self, **settings: str) -> Iterator[Server]:
        """Run the real service over a new and empty host."""
        with (
            TemporaryDirectory(prefix="fresh-", dir=self._folder) as folder,
            servers.service(Path(folder) / "data", **settings) as server,
        ):
            yield server

    def _fill(self, name: str, count: int, drawn: Iterator[Row]) -> None:
        """Fill a host, unless an earlier run has done so."""
        data = self._folder / name
        whole = self._folder / f"{name}.whole"
        if whole.exists():
            return
        free = shutil.disk_usage(self._folder).free
        if free < _ROOM:
            raise BenchmarkFailed(
                f"{self._folder} has room for {free / 1e9:.1f} GB; the benchmark writes up to "
                f"{_ROOM / 1e9:.0f} GB (set TMPDIR, or --keep a folder on another disk)."
            )
        shutil.rmtree(data, ignore_errors=True)
        print(f"\nFilling a host with {count:,} images", flush=True)
        with embedded_postgres(data / "postgres") as url:
            asyncio.run(seed.fill(url, data / "images", count, drawn))
        os.sync()
        whole.touch()

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
        assert self.references.pid  # which made the other table
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
        return [row[0] for row in seed.fetch(self.database_url, statement, *arguments)]
