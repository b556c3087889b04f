"""What a store compares the bytes of a request with."""

import asyncio
import base64
from collections.abc import Callable
from hashlib import md5
from typing import Final

from app.storage.s3.exchange import Parts

HASH_IN_THREAD: Final = 256 * 1024
"""Bytes from which on a checksum is computed in a thread: MD5 takes 1.2 ms for 947 KB."""


Also = Callable[[bytes | bytearray | memoryview], object]
"""Takes bytes as well, one part after another."""


async def content_md5(parts: Parts, also: Also | None = None) -> str:
    """Return what the store compares bytes with (RFC 1864).

    Args:
        parts: The bytes.
        also: Takes them as well, in the same thread: another checksum.
    """
    if sum(map(len, parts)) < HASH_IN_THREAD:
        return _md5_here(parts, also)
    return await asyncio.to_thread(_md5_here, parts, also)


def _md5_here(parts: Parts, also: Also | None) -> str:
    checksum = md5(usedforsecurity=False)
    for part in parts:
        checksum.update(part)
        if also:
            also(part)
    return base64.b64encode(checksum.digest()).decode()
