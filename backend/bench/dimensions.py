"""What it costs an upload to find width and height: `python -m bench.dimensions`.

Uploads through the service to a real folder and a real PostgreSQL, in turn with the reading of the
header and without, so that both see the same machine. And the time that the worst headers take.
"""

import secrets
import statistics
import struct
import time
from collections.abc import AsyncIterator
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from PIL import Image

from app.database import Database
from app.dimensions import MAX_ENTRIES, MAX_STEPS, Dimensions, HeaderReader, configure_pillow
from app.embedded import embedded_postgres
from app.image_types import ImageType
from app.migrations import migrate
from app.services import image_service
from app.services.image_service import ImageService, UploadLimits
from app.services.storage.local import LocalStorage
from bench.__main__ import folder_of

SIZES: Final = {"100 KB": 100_000, "2 MB": 2_000_000}
ROUNDS: Final = 1500
PIECE: Final = 64 * 1024
"""Bytes that come at once, as from a socket."""
LIMITS: Final = UploadLimits(
    max_upload_bytes=10_000_000, batch_max_files=1, uploads_per_hour_per_ip=0
)


class NoReader(HeaderReader):
    """Looks at nothing."""

    def feed(self, data: bytes | bytearray) -> None:
        """Do nothing."""

    async def measure(self) -> Dimensions | None:
        """Know nothing."""


class File(NamedTuple):
    """A picture on its way in."""

    filename: str
    chunks: AsyncIterator[bytes]


def photograph(size: int) -> bytes:
    """Make a JPEG with Exif and a thumbnail, as a camera does, of so many bytes."""
    thumbnail = _jpeg(160, 120)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", 6
    begin = exif.tobytes() + thumbnail
    picture = _jpeg(640, 480)
    segment = b"\xff\xe1" + struct.pack(">H", len(begin) + 2) + begin
    picture = picture[:2] + segment + picture[2:]
    return picture + secrets.token_bytes(max(size - len(picture), 0))


def _jpeg(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((width, height), 20).convert("RGB").save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def worst() -> dict[str, tuple[ImageType, bytes]]:
    """Make the headers that keep the walk busy for as long as they may."""
    entries = b"".join(struct.pack(">HHII", n, 4, 1, n) for n in range(MAX_ENTRIES))
    exif = b"Exif\0\0" + struct.pack(">2sHIH", b"MM", 42, 8, MAX_ENTRIES) + entries
    frame = b"\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    return {
        "steps of the walk": (ImageType.JPEG, b"\xff\xd8" + b"\0" * MAX_STEPS),
        "Exif of as many entries as are read": (ImageType.JPEG, b"\xff\xd8" + segment + frame),
    }


async def upload_in_turn(service: ImageService, content: bytes) -> dict[type[HeaderReader], float]:
    """Upload `ROUNDS` times each way, and give the medians in seconds."""
    taken: dict[type[HeaderReader], list[float]] = {HeaderReader: [], NoReader: []}
    for number in range(ROUNDS):
        for reader in sorted(taken, key=lambda kind: (kind is NoReader) ^ bool(number % 2)):
            vars(image_service)["HeaderReader"] = reader
            begin = time.perf_counter()
            image = await service.upload(File("photo.jpg", _pieces(content)), None)
            taken[reader].append(time.perf_counter() - begin)
            assert (image.width == 480) == (reader is HeaderReader)
            await service.delete(image.id)
    return {reader: statistics.median(times) for reader, times in taken.items()}


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), PIECE):
        yield content[begin : begin + PIECE]


async def measure(folder: Path, url: str) -> None:
    """Print a line for each size, and for each of the worst headers."""
    database = Database(url)
    await migrate(database, lambda _line: None)
    storage = LocalStorage(folder / "images")
    service = ImageService(database, storage, LIMITS)
    for name, size in SIZES.items():
        medians = await upload_in_turn(service, photograph(size))
        with_it, without = (medians[reader] * 1000 for reader in (HeaderReader, NoReader))
        print(f"{name}: {with_it:.2f} / {without:.2f} ms = {with_it / without:.3f}", flush=True)
    await storage.close()
    await database.close()
    for name, (image_type, header) in worst().items():
        times = []
        for _ in range(100):
            begin = time.perf_counter()
            reader = HeaderReader(image_type)
            reader.feed(header)
            await reader.measure()
            times.append(time.perf_counter() - begin)
        print(f"{name}: {statistics.median(times) * 1000:.2f} ms, longest {max(times) * 1000:.2f}")


def main() -> None:
    """Measure with a PostgreSQL of its own."""
    configure_pillow()
    with folder_of(None) as folder, embedded_postgres(folder / "postgres") as url:
        uvloop.run(measure(folder, url.render_as_string(hide_password=False)))


if __name__ == "__main__":
    main()
