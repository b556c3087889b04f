"""Images that look like those of real users: rows, and files for them."""

import asyncio
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from random import Random
from typing import Final, NamedTuple
from uuid import UUID
from zlib import crc32

import PIL.Image

from app.domain.metadata import Metadata
from app.imaging.formats import ImageType
from app.storage.base import StorageBackend

PERIOD: Final = timedelta(days=730)
"""How far back the oldest image was uploaded."""
ADDRESSES: Final = 20_000
"""Different addresses that uploaded them."""
DISTINCT_FILES: Final = 64
"""Different files that the images of a seeded host share."""

MAX_LINKS: Final = 60_000
"""Names of one file; ext4 allows 65,000."""
FILES_AT_ONCE: Final = 32
"""Files that are published concurrently."""
MAX_EDGE: Final = 1000
"""Pixels of an edge; larger files are filled up."""


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Type and size of a file, and bytes that suit them."""

    image_type: ImageType
    size: int
    """Bytes."""

    @property
    def edge(self) -> int:
        """Pixels of its width, and of its height."""
        return min(int((self.size / 2) ** 0.5), MAX_EDGE)  # noise takes about a byte a pixel

    def content(self, chance: Random, room: int = 0) -> bytes:
        """Make a real image, filled up before its end with bytes that no disk compresses.

        It is `room` bytes shorter than its size, for what somebody appends.
        """
        buffer = BytesIO()
        noise = PIL.Image.effect_noise((self.edge, self.edge), 60)
        noise.save(buffer, self.image_type.removeprefix("image/"))
        image = buffer.getvalue()
        filling = self.size - room - len(image)
        if self.image_type is ImageType.JPEG:  # more of the scan, where 0xFF would begin a marker
            begin, end = image[:-2], image[-2:]
            return begin + chance.randbytes(filling).replace(b"\xff", b"\0") + end
        begin, end = image[:-12], image[-12:]
        data = b"fiLl" + chance.randbytes(filling - 12)
        return begin + struct.pack(">I", filling - 12) + data + struct.pack(">I", crc32(data)) + end


class Row(NamedTuple):
    """Values of a row, by the names of the columns."""

    id: UUID
    filename: str
    storage_key: str
    content_type: str
    file_size: int
    upload_ip: IPv4Address | IPv6Address | None
    created_at: datetime
    width: int
    height: int
    metadata: Metadata
    checksum: bytes | None = None
    """SHA-256 of the file; None of a row without one."""
    truncated: bool | None = None


def typical_specs(chance: Random) -> list[ImageSpec]:
    """Draw types and sizes: mostly JPEG, half of them below 300 KB, the largest a few MB."""
    return [
        ImageSpec(
            ImageType.JPEG if chance.random() < 0.8 else ImageType.PNG,
            min(max(int(chance.lognormvariate(12.6, 0.9)), 2_000), 8_000_000),
        )
        for _ in range(DISTINCT_FILES)
    ]


def rows(count: int, specs: Sequence[ImageSpec], chance: Random) -> Iterator[Row]:
    """Draw rows in the order of their times, which are spread over the period before now."""
    begin = datetime.now(UTC) - PERIOD
    addresses = [_address(chance) for _ in range(ADDRESSES)]
    for number in range(count):
        image_id = UUID(int=chance.getrandbits(128), version=4)
        spec = chance.choice(specs)
        taken = begin + PERIOD * ((number + chance.random()) / count)
        yield Row(
            id=image_id,
            filename=_filename(spec.image_type, taken, chance),
            storage_key=image_id.hex + spec.image_type.extension,
            content_type=spec.image_type.value,
            file_size=spec.size,
            upload_ip=chance.choice(addresses),
            created_at=taken,
            width=spec.edge,
            height=spec.edge,
            metadata=_metadata(taken, (number + 1) / count, chance),
        )


def link_files(images: Path, drawn: Iterator[Row], chance: Random) -> Iterator[Row]:
    """Make a file for each row, shared with others of its type and size; yield complete rows."""
    shared: dict[ImageSpec, tuple[Path, bytes]] = {}
    for row in drawn:
        spec = ImageSpec(ImageType(row.content_type), row.file_size)
        path = _path(images, row.storage_key)
        source, checksum = shared.get(spec, (None, b""))
        if source and source.stat().st_nlink < MAX_LINKS:
            path.hardlink_to(source)
        else:
            content = spec.content(chance)
            path.write_bytes(content)
            checksum = sha256(content).digest()
            shared[spec] = path, checksum
        yield row._replace(checksum=checksum, truncated=False)


def write_files(images: Path, drawn: Iterator[Row], chance: Random) -> Iterator[Row]:
    """Make a file for each row, whose last bytes no other has; yield complete rows."""
    contents: dict[ImageSpec, bytes] = {}
    for row in drawn:
        spec = ImageSpec(ImageType(row.content_type), row.file_size)
        if spec not in contents:
            contents[spec] = spec.content(chance, room=len(row.id.bytes))
        content = contents[spec] + row.id.bytes
        _path(images, row.storage_key).write_bytes(content)
        yield row._replace(checksum=sha256(content).digest(), truncated=False)


class Publisher:
    """Publishes a file for each row, in a storage that cannot share one between several.

    Args:
        storage: Where they go.
        chance: Fills them.
    """

    def __init__(self, storage: StorageBackend, chance: Random) -> None:
        self._storage = storage
        self._chance = chance
        self._contents: dict[ImageSpec, bytes] = {}
        self._limit = asyncio.Semaphore(FILES_AT_ONCE)

    async def complete(self, drawn: Iterable[Row]) -> list[Row]:
        """Publish the files of rows; return the complete rows.

        Raises:
            StorageError: If one cannot be published.
        """
        return await asyncio.gather(*map(self._publish, drawn))

    async def _publish(self, row: Row) -> Row:
        spec = ImageSpec(ImageType(row.content_type), row.file_size)
        if spec not in self._contents:
            self._contents[spec] = spec.content(self._chance)
        async with self._limit:
            staged = await self._storage.stage(row.storage_key, row.content_type)
            await staged.write(self._contents[spec])
            checksum = await staged.publish()
        return row._replace(checksum=checksum, truncated=False)


def _path(images: Path, key: str) -> Path:
    """Name the file of a key as `LocalStorage` does."""
    return images / key[:2] / key


def _address(chance: Random) -> IPv4Address | IPv6Address:
    if chance.random() < 0.3:
        return IPv6Address((0x20010DB8 << 96) | chance.getrandbits(96))
    return IPv4Address(chance.getrandbits(32))


def _filename(image_type: ImageType, taken: datetime, chance: Random) -> str:
    write = chance.choice(_STEMS)
    return write(taken, chance.randrange(10_000)) + image_type.extension


_STEMS: Final[tuple[Callable[[datetime, int], str], ...]] = (
    lambda taken, _: f"IMG_{taken:%Y%m%d_%H%M%S}",
    lambda taken, _: f"Screenshot {taken:%Y-%m-%d} at {taken:%H.%M.%S}",
    lambda _, number: f"DSC_{number:04}",
    lambda _, number: f"WhatsApp Image ({number})",
    lambda _, number: f"Köln, Dom und Rhein im Abendlicht {number}",
)


def _metadata(taken: datetime, age: float, chance: Random) -> Metadata:
    """Draw a camera: most people have bought a new one within the period, a few a rare one."""
    kinds = chance.random()
    if kinds < 0.3:
        return {}
    make, model = ("Canon", "EOS 5D Mark III") if age < 0.5 else ("FUJIFILM", "X-T5")
    if kinds > 1 - 1 / 50_000:
        make, model = "Hasselblad", "X2D 100C"
    return {"camera_make": make, "camera_model": model, "taken_at": f"{taken:%Y-%m-%dT%H:%M:%S}"}
