"""What is measured: hosts in one folder, and the servers over them."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cached_property
from itertools import chain
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Final

from app.database.embedded import shared_postgres
from app.imaging.formats import ImageType
from bench import images, servers
from bench.host import Host
from bench.images import ImageSpec
from bench.servers import Server

IMAGES: Final = 100_000
MILLION: Final = 1_000_000
SMALL: Final = ImageSpec(ImageType.JPEG, 42_000)
LARGE: Final = ImageSpec(ImageType.JPEG, 947_000)
HUGE: Final = ImageSpec(ImageType.JPEG, 20 << 20)

_SEED: Final = 2026


class Site:
    """Hosts and servers, each made when it is first asked for; servers stop with `opened`."""

    def __init__(self, folder: Path, opened: ExitStack) -> None:
        self._folder = folder
        self._opened = opened
        self._usual = folder / "usual"
        self._bare = folder / "bare"

    @cached_property
    def host(self) -> Host:
        """The host of `IMAGES` images of 42 KB, each its own file; one of 947 KB, and of 20 MiB."""
        host = Host(self._folder / "host")
        chance = Random(_SEED)
        small = images.rows(IMAGES, [SMALL], chance)
        large = (images.rows(1, [spec], chance) for spec in (LARGE, HUGE))
        drawn = chain(small, *large)
        host.fill(IMAGES + 2, images.write_files(host.images, drawn, chance))
        return host

    @cached_property
    def large_host(self) -> Host:
        """The host of a million images like those of users."""
        host = Host(self._folder / "large")
        chance = Random(_SEED)
        drawn = images.rows(MILLION, images.typical_specs(chance), chance)
        host.fill(MILLION, images.link_files(host.images, drawn, chance))
        return host

    @cached_property
    def service(self) -> Server:
        """The real service, one worker, over the host."""
        return self._opened.enter_context(servers.service(self.host.data))

    @contextmanager
    def fresh_data(self) -> Iterator[Path]:
        """Name a data folder that does not exist yet; what is made there is removed."""
        with TemporaryDirectory(prefix="fresh-", dir=self._folder) as folder:
            yield Path(folder) / "data"

    @contextmanager
    def fresh_service(self, *, renders: bool = False, **settings: str) -> Iterator[Server]:
        """Run the real service over a new and empty host."""
        with (
            self.fresh_data() as data,
            servers.service(data, renders=renders, **settings) as server,
        ):
            yield server

    @cached_property
    def references(self) -> Server:
        """The references, with the same rows in a table of their own beside the service's."""
        assert self.service.pid  # runs the database
        url = self._opened.enter_context(shared_postgres(self.host.data / "postgres"))
        server = self._opened.enter_context(servers.references(self._usual, url))
        self.host.execute("TRUNCATE usual_images")
        self.host.execute(
            """INSERT INTO usual_images
               SELECT id, filename, $1 || left(storage_key, 2) || '/' || storage_key,
                      content_type, file_size, created_at
               FROM images""",
            f"{self.host.images}/",
        )
        self.host.execute("VACUUM (ANALYZE) usual_images")
        self.host.execute("CHECKPOINT")
        return server

    @cached_property
    def bare_upload(self) -> Server:
        """The limit that Python sets to uploads."""
        return self._opened.enter_context(servers.bare_upload(self._bare))

    @cached_property
    def nginx(self) -> Server:
        """The limit that the machine sets."""
        folder = self._folder / "nginx"
        return self._opened.enter_context(servers.nginx(folder, self.host.images))

    def write(self, name: str, content: str | bytes) -> str:
        """Keep something for wrk in a file, and name it."""
        file = self._folder / name
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return str(file)

    def remove_uploads(self) -> int:
        """Take back what was uploaded to one of the servers; return how many."""
        removed = self.host.remove_uploads()
        if "references" in vars(self):  # they run, and have their table
            removed += self._remove_usual_uploads()
        for file in self._bare.glob("*.jpg"):
            file.unlink()
            removed += 1
        return removed

    def _remove_usual_uploads(self) -> int:
        statement = "DELETE FROM usual_images WHERE path LIKE $1 || '%' RETURNING path"
        rows = self.host.execute(statement, f"{self._usual}/")
        for (path,) in rows:  # missing: its row came after the last removal, cut off as it was
            Path(path).unlink(missing_ok=True)
        self.host.execute("VACUUM usual_images")
        for file in self._usual.iterdir():  # those that have no row yet
            file.unlink()
        return len(rows)
