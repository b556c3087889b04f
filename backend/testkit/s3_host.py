"""The service over Ceph, through a stretch of network that can break, and what is kept of it."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.storage.s3 import calls
from testkit.ceph import Ceph
from testkit.databases import execute
from testkit.live import TIMEOUT, serve
from testkit.relay import Relay, relaying
from testkit.service import BACKEND
from testkit.settings import make_settings
from testkit.sockets import UPLOAD

MAX_UPLOAD_BYTES = 32 * 1024 * 1024
"""Ample for uploads of several parts."""


@contextmanager
def impatient() -> Iterator[None]:
    """Let no service wait for its store for long during the block, to save time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(calls, "RETRY_SECONDS", 2.0)
        yield


class S3Host:
    """A running service whose images are in a bucket."""

    def __init__(
        self, client: httpx.AsyncClient, ceph: Ceph, bucket: str, relay: Relay, database_url: URL
    ) -> None:
        self.client = client
        self.ceph = ceph
        self.bucket = bucket
        self.relay = relay
        """What is between the service and its store."""
        self._database_url = database_url
        address = database_url.set(drivername="postgresql")
        self._environment = {"DATABASE_URL": address.render_as_string(hide_password=False)}

    async def upload(self, content: bytes) -> httpx.Response:
        """Upload an image."""
        return await self.client.post(UPLOAD, files={"file": ("photo.jpg", content)})

    async def store(self, content: bytes) -> str:
        """Upload an image, which succeeds; return its id."""
        answer = await self.upload(content)
        assert answer.status_code == 201, answer.text
        image_id: str = answer.json()["id"]
        return image_id

    async def get(self, image_id: str) -> httpx.Response:
        """Ask for the file of an image."""
        return await self.client.get(f"/api/v1/images/{image_id}/file")

    async def delete(self, image_id: str) -> httpx.Response:
        """Delete an image."""
        return await self.client.delete(f"/api/v1/images/{image_id}")

    async def ready(self) -> int:
        """Return the status of readiness."""
        return (await self.client.get("/health/ready")).status_code

    async def is_ready_soon(self) -> bool:
        """Wait until the service is ready."""
        async with asyncio.timeout(TIMEOUT):
            while await self.ready() != httpx.codes.OK:  # noqa: ASYNC110 - nothing sets an event
                await asyncio.sleep(0.1)
        return True

    async def repair(self) -> dict[str, Any]:
        """Remove what unfinished uploads have left, as its operator does; return what was found."""
        found = json.loads((await self._fsck("--json")).stdout)
        await self._fsck("--repair", "--expect", str(found["sums"]["file-without-row"]["count"]))
        sums: dict[str, Any] = found["sums"]
        return sums

    async def _fsck(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return await asyncio.to_thread(
            subprocess.run,
            [sys.executable, "-m", "app", "fsck", "--grace", "0", *arguments],
            cwd=BACKEND,
            env=os.environ | self._environment | self.ceph.settings(self.bucket),
            capture_output=True,
            text=True,
            check=False,
        )

    async def assert_keeps(self, *contents: bytes) -> None:
        """Check that there are images of these bytes only, and no part of any other."""
        rows = await execute(self._database_url, "SELECT id, storage_key FROM images")
        files = [(await self.get(str(image_id))).content for image_id, _ in rows]
        assert sorted(files) == sorted(contents)
        keys = await asyncio.to_thread(self.ceph.keys, self.bucket)
        assert sorted(key for _, key in rows) == [key for key in keys if not key.startswith(".")]
        assert await asyncio.to_thread(self.ceph.uploads, self.bucket) == []


OpenS3Host = Callable[..., AbstractAsyncContextManager[S3Host]]


def s3_settings(database_url: URL, data_dir: Path, ceph: Ceph, url: str) -> Settings:
    """Return the settings of a service whose images are in a bucket of Ceph."""
    return make_settings(
        database_url,
        data_dir,
        storage_url=url,
        aws_access_key_id=ceph.access_key,
        aws_secret_access_key=SecretStr(ceph.secret_key),
        max_upload_bytes=MAX_UPLOAD_BYTES,
    )


@asynccontextmanager
async def s3_hosting(
    database_url: URL, data_dir: Path, ceph: Ceph, bucket: str, **changes: object
) -> AsyncIterator[S3Host]:
    """Run the service behind a real socket, and a relay between it and its store."""
    async with AsyncExitStack() as opened:
        endpoint, relay = await opened.enter_async_context(relaying(ceph.endpoint))
        settings = s3_settings(database_url, data_dir, ceph, f"s3://{bucket}?endpoint={endpoint}")
        app = create_app(settings.model_copy(update=changes))
        serving = serve(app)  # which waits in its thread for what the relay passes on in this one
        server = await asyncio.to_thread(serving.__enter__)
        opened.push_async_callback(asyncio.to_thread, serving.__exit__, None, None, None)
        client = httpx.AsyncClient(base_url=server.url, timeout=2 * TIMEOUT)
        await opened.enter_async_context(client)
        yield S3Host(client, ceph, bucket, relay, database_url)
