"""Storage backends under test."""

from collections.abc import Awaitable, Callable

from app.storage.base import ObjectReader
from app.storage.local.backend import LocalStorage
from app.storage.s3.client import S3Client

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
