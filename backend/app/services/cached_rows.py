"""Rows of images by their ids, from the cache or else from the database, which fills the cache."""

import json
from binascii import a2b_base64, b2a_base64
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID
from zlib import crc32

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.image import Image, ImageDetails
from app.services.trust import Trust
from app.statements.images import find_details

FORMAT: Final = b"\2"
"""Of the values, their first byte. What another version has stored is not read, but replaced when
it has expired; it is invalidated by every version, for the keys are the same."""

_CHECK_BYTES: Final = 4
_ID_BYTES: Final = 16
_HEAD_BYTES: Final = len(FORMAT) + _CHECK_BYTES
_FIELDS: Final = Image._fields[1:]
_BINARY: Final = [_FIELDS.index(name) for name in ("checksum", "placeholder")]
_TIMES: Final = [_FIELDS.index(name) for name in ("created_at", "updated_at", "rendered_at")]
_OWNER: Final = _FIELDS.index("owner_id")
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


class CachedDetails(ImageDetails):
    """A row that was in the cache."""


class CachedRows:
    """Finds rows; those in the cache cost the database nothing.

    Args:
        database: Where the rows are.
        cache: Has some of them, maybe.
    """

    def __init__(self, database: Database, cache: Cache) -> None:
        self._database = database
        self._cache = cache
        self.trust = Trust(database)
        """Says of which rows; of none, unless it is `watched`."""

    async def find(self, image_ids: Iterable[UUID]) -> dict[UUID, ImageDetails]:
        """Find rows with their metadata by their ids; an id that no row has is left out.

        Raises:
            DatabaseUnavailable: If some are not in the cache, and the database cannot be asked.
        """
        wanted = {*image_ids}
        keys = {one: key_of(one) for one in wanted if self.trust.allows(one)}
        if not keys:
            return await self._read(wanted)
        lookup = await self._cache.lookup([*keys.values()])
        found: dict[UUID, ImageDetails] = {}
        for image_id, key in keys.items():
            if (value := lookup.found.get(key)) and (details := decode(image_id, value)):
                found[image_id] = details
        missing = wanted - found.keys()
        if not missing:
            return found
        rows = await self._read(missing)
        if lookup.permit is not None:
            filled = {keys[one]: encode(row) for one, row in rows.items() if one in keys}
            await self._cache.fill(lookup, filled)
        return found | rows

    async def _read(self, image_ids: Iterable[UUID]) -> dict[UUID, ImageDetails]:
        async with self._database.read() as session:
            return await find_details(session, image_ids)


def key_of(image_id: UUID) -> str:
    """Return the key of a row in the cache."""
    return f"image:{image_id.hex}"


def encode(details: ImageDetails) -> bytes:
    """Return a row as a value: format, CRC-32 of what follows, id, and the rest as JSON."""
    row: list[Any] = [*details.image[1:], details.metadata]
    for place in _BINARY:
        if row[place] is not None:
            row[place] = b2a_base64(row[place], newline=False).decode()
    for place in _TIMES:
        if row[place] is not None:
            row[place] = (row[place] - _EPOCH) // _MICROSECOND
    row[_OWNER] = row[_OWNER] and row[_OWNER].hex
    text = json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode()
    content = details.image.id.bytes + text
    return FORMAT + crc32(content).to_bytes(_CHECK_BYTES) + content


def decode(image_id: UUID, value: bytes) -> CachedDetails | None:
    """Return the row of an id; None if the value is another's, damaged, or of another version."""
    content = value[_HEAD_BYTES:]
    head = FORMAT + crc32(content).to_bytes(_CHECK_BYTES)
    if value[:_HEAD_BYTES] != head or content[:_ID_BYTES] != image_id.bytes:
        return None
    row = json.loads(content[_ID_BYTES:])
    for place in _BINARY:
        if row[place] is not None:
            row[place] = a2b_base64(row[place])
    for place in _TIMES:
        if row[place] is not None:
            row[place] = _EPOCH + row[place] * _MICROSECOND
    row[_OWNER] = row[_OWNER] and UUID(row[_OWNER])
    return CachedDetails(Image(image_id, *row[:-1]), row[-1])
