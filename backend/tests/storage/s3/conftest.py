"""Clients of a real Ceph, also over a stretch of network that can break."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.config.storage_url import parse_storage_url
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from testkit.ceph import Ceph
from testkit.relay import Relay, relaying
from testkit.storages import ConnectS3


@pytest.fixture
async def connect(ceph: Ceph, bucket: str) -> AsyncIterator[ConnectS3]:
    """Make clients, of the bucket and its owner if nothing else is said."""
    clients: list[S3Client] = []

    def connect(**changes: Any) -> S3Client:
        keys = {"access_key": ceph.access_key, "secret_key": ceph.secret_key, **changes}
        endpoint = keys.pop("endpoint", ceph.endpoint)
        url = f"s3://{keys.pop('bucket', bucket)}/{keys.pop('prefix', '')}?endpoint={endpoint}"
        connections = keys.pop("connections", 4)
        clients.append(S3Client(parse_storage_url(url), Credentials(**keys), connections))
        return clients[-1]

    yield connect
    for client in clients:
        await client.close()


@pytest.fixture
def client(connect: ConnectS3) -> S3Client:
    return connect(prefix="images/2026")


@pytest.fixture
async def relay(ceph: Ceph) -> AsyncIterator[tuple[str, Relay]]:
    """Run a relay to the store; its address and itself."""
    async with relaying(ceph.endpoint) as (address, relay):
        yield address, relay


@pytest.fixture
def far(connect: ConnectS3, relay: tuple[str, Relay]) -> tuple[S3Client, Relay]:
    """A client over the relay."""
    address, through = relay
    return connect(endpoint=address), through
