"""Fills a database with images that look like those of real users: `make seed`.

Rows go in by COPY. Their files, where asked for, are hard links to a few pictures, so that a
million images take little more than a million names.
"""

import os
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address, IPv6Address
from itertools import islice
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
from sqlalchemy.engine import URL
from tqdm import tqdm

from app.database import Database
from app.image_types import ImageType
from app.models import Base

MILLION: Final = 1_000_000
BATCH: Final = 10_000
"""Rows of one COPY."""
PERIOD: Final = timedelta(days=730)
"""How far back the oldest image was uploaded."""
ADDRESSES: Final = 20_000
"""Different addresses that uploaded them."""
PICTURES: Final = 64
"""Different files that the images of a seeded host share."""

_HEADS: Final = {ImageType.JPEG: b"\xff\xd8\xff\xe0", ImageType.PNG: b"\x89PNG\r\n\x1a\n"}


class SeedRefused(Exception):
    """Nothing was added; the sentence tells why."""


@dataclass(frozen=True, slots=True)
class Picture:
    """What an image may consist of."""

    image_type: ImageType
    size: int
    """Bytes."""

    def content(self, chance: Random) -> bytes:
        """Make bytes that the service takes for this type, and that no disk compresses."""
        head = _HEADS[self.image_type]
        return head + chance.randbytes(self.size - len(head))


class Row(NamedTuple):
    """A row, in the order of the table's columns."""

    id: UUID
    filename: str
    storage_key: str
    content_type: str
    file_size: int
    upload_ip: IPv4Address | IPv6Address | None
    created_at: datetime


def pictures_of_users(chance: Random) -> list[Picture]:
    """Draw pictures: mostly JPEG, half of them below 300 KB, the largest a few MB."""
    return [
        Picture(
            ImageType.JPEG if chance.random() < 0.8 else ImageType.PNG,
            min(max(int(chance.lognormvariate(12.6, 0.9)), 2_000), 8_000_000),
        )
        for _ in range(PICTURES)
    ]


def rows(count: int, pictures: Sequence[Picture], chance: Random) -> Iterator[Row]:
    """Draw rows; times are spread over the period before now, in no order."""
    now = datetime.now(UTC)
    microseconds = PERIOD // timedelta(microseconds=1)
    addresses = [_address(chance) for _ in range(ADDRESSES)]
    for _ in range(count):
        image_id = UUID(int=chance.getrandbits(128), version=4)
        picture = chance.choice(pictures)
        taken = now - timedelta(microseconds=chance.randrange(microseconds))
        yield Row(
            id=image_id,
            filename=_filename(picture.image_type, taken, chance),
            storage_key=image_id.hex + picture.image_type.extension,
            content_type=picture.image_type.value,
            file_size=picture.size,
            upload_ip=chance.choice(addresses),
            created_at=taken,
        )


async def prepare_schema(url: URL) -> None:
    """Make the tables as the service makes them."""
    database = Database(url)
    try:
        await database.prepare(Base.metadata)
    finally:
        await database.close()


@asynccontextmanager
async def connect(url: URL) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Open a connection of asyncpg's own, for COPY."""
    libpq = url.set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(libpq)
    try:
        yield connection
    finally:
        await connection.close()


async def add_rows(url: URL, count: int, drawn: Iterator[Row], *, to_others: bool = False) -> None:
    """Add rows to the table of a prepared database, and leave it vacuumed and analysed.

    Raises:
        SeedRefused: If it holds images already, unless they shall be added to them.
    """
    async with connect(url) as connection:
        if not to_others and await connection.fetchval("SELECT EXISTS (SELECT FROM images)"):
            raise SeedRefused("The database holds images already; add to them with --add.")
        with tqdm(total=count, unit=" rows", unit_scale=True, disable=None, desc="rows") as bar:
            while batch := list(islice(drawn, BATCH)):
                await connection.copy_records_to_table(
                    "images", records=batch, columns=list(Row._fields)
                )
                bar.update(len(batch))
        await connection.execute("VACUUM (ANALYZE) images")


def link_files(
    images: Path, drawn: Iterator[Row], pictures: Sequence[Picture], chance: Random
) -> Iterator[Row]:
    """Give each row that passes a file of its size, shared with others of that picture."""
    sources = {}
    for number, picture in enumerate(pictures):
        source = images / f"seed-{number}"
        source.write_bytes(picture.content(chance))
        sources[picture.image_type.value, picture.size] = source
    for row in drawn:
        os.link(sources[row.content_type, row.file_size], _path(images, row.storage_key))
        yield row
    for source in sources.values():
        source.unlink()


def write_files(images: Path, drawn: Iterator[Row], chance: Random) -> Iterator[Row]:
    """Give each row that passes a file of its own, the bytes of which no other has."""
    rest = chance.randbytes(max(1, 1 << 20))
    for row in drawn:
        head = _HEADS[ImageType(row.content_type)] + row.id.bytes
        _path(images, row.storage_key).write_bytes(head + rest[: row.file_size - len(head)])
        yield row


def _path(images: Path, key: str) -> Path:
    """Name the file of a key as `LocalStorage` does."""
    return images / key[:2] / key


def _address(chance: Random) -> IPv4Address | IPv6Address:
    if chance.random() < 0.3:
        return IPv6Address((0x20010DB8 << 96) | chance.getrandbits(96))
    return IPv4Address(chance.getrandbits(32))


def _filename(image_type: ImageType, taken: datetime, chance: Random) -> str:
    number = chance.randrange(10_000)
    stem = chance.choice(
        [
            f"IMG_{taken:%Y%m%d_%H%M%S}",
            f"DSC_{number:04}",
            f"Screenshot {taken:%Y-%m-%d} at {taken:%H.%M.%S}",
            f"WhatsApp Image {taken:%Y-%m-%d} ({number % 10})",
            f"Köln, Dom und Rhein im Abendlicht {number}",
        ]
    )
    return stem + image_type.extension
