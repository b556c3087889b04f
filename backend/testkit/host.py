"""The service as its clients see it, and what it keeps as its operator sees it."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy.engine import URL

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.databases import execute
from testkit.descriptors import open_files_below
from testkit.live import TIMEOUT, serve, wait_until
from testkit.sockets import BATCH, UPLOAD


class Host:
    """A running service. Rows are read from the database itself, past any proxy."""

    def __init__(self, client: httpx.Client, settings: Settings, database_url: URL) -> None:
        self.client = client
        self._settings = settings
        self._database_url = database_url

    @property
    def images(self) -> Path:
        return self._settings.data_dir / "images"

    def upload(self, content: bytes, filename: str = "photo.jpg") -> httpx.Response:
        return self.client.post(UPLOAD, files={"file": (filename, content)})

    def batch(self, *files: tuple[str, bytes]) -> httpx.Response:
        return self.client.post(BATCH, files=[("files", file) for file in files])

    def download(self, image_id: str) -> bytes:
        response = self.client.get(f"/api/v1/images/{image_id}/file")
        assert response.status_code == 200, response.text
        return response.content

    def delete(self, image_id: str) -> httpx.Response:
        return self.client.delete(f"/api/v1/images/{image_id}")

    def delete_batch(self, *image_ids: str) -> httpx.Response:
        return self.client.post("/api/v1/images/batch-delete", json={"ids": image_ids})

    def rename(self, image_id: str, filename: str) -> httpx.Response:
        return self.client.patch(f"/api/v1/images/{image_id}", json={"filename": filename})

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Carry out statements; return the rows of the last one."""
        return asyncio.run(execute(self._database_url, *statements))

    def stored_ids(self) -> list[str]:
        """List the images from the oldest on."""
        rows = self.execute("SELECT id FROM images ORDER BY created_at, id")
        return [str(image_id) for (image_id,) in rows]

    def assert_keeps(self, *, rows: int, files: int) -> None:
        """Check what is there after a fault: so many rows and files, and all of it sound."""
        assert len(self.stored_ids()) == rows
        assert len(list(self.images.glob("??/*"))) == files
        self.assert_sound()

    def assert_sound(self) -> None:
        """Check that each row has its whole file, that nothing is staged, and no file open."""
        rows = {
            (key, size) for key, size in self.execute("SELECT storage_key, file_size FROM images")
        }
        files = {(file.name, file.stat().st_size) for file in self.images.glob("??/*")}
        assert rows <= files
        # Readiness writes there, too, for a moment.
        wait_until(lambda: not [*(self.images / "staging").iterdir()])
        wait_until(lambda: not open_files_below(self._settings.data_dir))


@contextmanager
def hosting(settings: Settings, database_url: URL) -> Iterator[Host]:
    """Run the service; `database_url` is the database itself, whatever the settings say."""
    with (
        serve(create_app(settings)) as server,
        httpx.Client(base_url=server.url, timeout=2 * TIMEOUT) as client,
    ):
        yield Host(client, settings, database_url)
