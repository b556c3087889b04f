"""The service over Ceph."""

from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.storage.s3 import calls, exchange
from testkit.ceph import Ceph
from testkit.live import TIMEOUT
from testkit.s3_host import OpenS3Host, S3Host, s3_hosting


@pytest.fixture(autouse=True)
def _own_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the service wait for a store on a busy machine, but for a stopped one not for long."""
    monkeypatch.setattr(calls, "RETRY_SECONDS", TIMEOUT)
    monkeypatch.setattr(exchange, "PROGRESS_SECONDS", 5.0)


@pytest.fixture
def open_host(database_url: URL, tmp_path: Path, ceph: Ceph, bucket: str) -> OpenS3Host:
    """Run services, with some settings changed, over one bucket."""
    return partial(s3_hosting, database_url, tmp_path, ceph, bucket)


@pytest.fixture
async def host(open_host: OpenS3Host) -> AsyncIterator[S3Host]:
    async with open_host() as host:
        yield host
