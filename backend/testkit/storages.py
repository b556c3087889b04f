"""Storage backends under test."""

from collections.abc import Awaitable, Callable

from app.config.storage_url import parse_storage_url
from app.storage.base import ObjectReader, StorageBackend
from app.storage.local.backend import LocalStorage
from app.storage.s3.backend import S3Storage
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from testkit.ceph import Ceph

OpenStorage = Callable[..., LocalStorage]
ConnectS3 = Callable[..., S3Client]
"""Makes a client: of the bucket of the test, or of `changes`."""
Put = Callable[[str, bytes], Awaitable[None]]


async def read_all(reader: ObjectReader) -> bytes:
    """Read an object to its end, and close it."""
    data = b""
    while block := await reader.read():
        data += block
    await reader.close()
    return data


async def put(storage: StorageBackend, key: str, data: bytes) -> None:
    """Store an object."""
    staged = await storage.stage(key, "image/jpeg")
    await staged.write(data)
    await staged.publish()


def storage_over(ceph: Ceph, bucket: str, prefix: str = "") -> S3Storage:
    """Return a storage over a bucket, or a prefix in it."""
    credentials = Credentials(ceph.access_key, ceph.secret_key)
    return S3Storage(parse_storage_url(ceph.url(bucket, prefix)), credentials)
