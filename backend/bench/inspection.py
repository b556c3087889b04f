"""What looking at an upload's bytes costs: `python -m bench.inspection`.

Uploads through the service to a real folder and a real PostgreSQL, in turn with everything and
with one part left out, so that all see the same machine. And the time that the worst headers take.
"""

import asyncio
import secrets
import statistics
import struct
import time
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Final, NamedTuple

import uvloop
from PIL import Image

from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.domain.limits import UploadLimits
from app.imaging import inspection
from app.imaging.dimensions import configure_pillow
from app.imaging.formats import ImageType
from app.imaging.header import MAX_ENTRIES, Header
from app.imaging.walker import MAX_STEPS, MAX_SUB_BLOCKS
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.local import process
from app.storage.local.backend import LocalStorage
from bench import unchecked_writer
from bench.__main__ import folder_of

SIZES: Final = {"42 KB": 42_000, "947 KB": 947_000}
ROUNDS: Final = 100
AT_ONCE: Final = 8
"""Uploads in progress together, so that the processor is what they wait for."""
PIECE: Final = 64 * 1024
"""Bytes that come at once, as from a socket."""
LIMITS: Final = UploadLimits(
    max_upload_bytes=10_000_000, batch_max_files=1, uploads_per_hour_per_ip=0
)


class Nothing:
    """Stands for a part that is left out."""

    truncated = False
    complete = result = True

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def feed(self, data: memoryview) -> memoryview:
        """Do nothing."""
        return data


async def unmeasured(_header: Header) -> None:
    """Know nothing."""


PARTS: Final[Mapping[str, Mapping[str, object]]] = {
    "walk": {"Walker": Nothing},
    "end": {"EndFinder": Nothing},
    "dimensions": {"measure": unmeasured},
}
"""What can be left out, and what stands for it."""
WAYS: Final = ("everything", "no checksum", *(f"no {part}" for part in PARTS))


def photograph(size: int) -> bytes:
    """Make a JPEG with Exif and a thumbnail, as a camera does, of so many bytes."""
    thumbnail = _jpeg(160, 120)
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Maker", "Model", 6
    begin = exif.tobytes() + thumbnail
    image = _jpeg(640, 480)
    segment = b"\xff\xe1" + struct.pack(">H", len(begin) + 2) + begin
    image = image[:2] + segment + image[2:]
    pixels = secrets.token_bytes(max(size - len(image), 0)).replace(b"\xff", b"\xff\0")
    return image[:-2] + pixels + image[-2:]


def _jpeg(width: int, height: int) -> bytes:
    buffer = BytesIO()
    Image.effect_noise((width, height), 20).convert("RGB").save(buffer, "JPEG", quality=60)
    return buffer.getvalue()


def worst() -> dict[str, tuple[ImageType, bytes]]:
    """Make the headers that keep the walk busy for as long as they may."""
    entries = b"".join(struct.pack(">HHII", n, 4, 1, n) for n in range(MAX_ENTRIES))
    exif = b"Exif\0\0" + struct.pack(">2sHIH", b"MM", 42, 8, MAX_ENTRIES) + entries
    sof = b"\xff\xc0\0\x0b\x08\0\1\0\1\1\1\x11\0"
    segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
    gif = b"GIF89a\1\0\1\0\0\0\0"
    frame = b",\0\0\0\0\1\0\1\0\0\x02"
    return {
        "steps of the walk": (ImageType.JPEG, b"\xff\xd8" + b"\0" * MAX_STEPS),
        "Exif of as many entries as are read": (ImageType.JPEG, b"\xff\xd8" + segment + sof),
        "extensions of a GIF": (ImageType.GIF, gif + b"!\xfe\0" * MAX_STEPS),
        "sub-blocks of a GIF": (ImageType.GIF, gif + frame + b"\1x" * MAX_SUB_BLOCKS),
    }


class Times(NamedTuple):
    """Milliseconds for one upload."""

    passed: float
    worked: float
    """Processor time of the thread that everything else waits for."""


async def upload_in_turn(services: dict[str, Services], content: bytes) -> dict[str, Times]:
    """Upload `ROUNDS` times each way; return the medians."""
    taken: dict[str, list[Times]] = {name: [] for name in services}
    usual = {name: vars(inspection)[name] for part in PARTS.values() for name in part}
    for number in range(ROUNDS):
        for way in sorted(services, reverse=bool(number % 2)):
            vars(inspection).update(usual, **PARTS.get(way.removeprefix("no "), {}))
            begin, begin_of_work = time.perf_counter(), time.thread_time()
            files = [IncomingFile("photo.jpg", _pieces(content)) for _ in range(AT_ONCE)]
            upload = services[way].uploads.upload
            images = await asyncio.gather(*(upload(file, None) for file in files))
            passed, worked = time.perf_counter() - begin, time.thread_time() - begin_of_work
            taken[way].append(Times(passed * 1000 / AT_ONCE, worked * 1000 / AT_ONCE))
            for image in images:
                await services[way].deletion.delete(image.id)
    vars(inspection).update(usual)
    return {
        way: Times(*(statistics.median(column) for column in zip(*times, strict=True)))
        for way, times in taken.items()
    }


async def _pieces(content: bytes) -> AsyncIterator[bytes]:
    for begin in range(0, len(content), PIECE):
        yield content[begin : begin + PIECE]


async def measure(folder: Path, url: str) -> None:
    """Print a line for each size, and for each of the worst headers."""
    database = Database(url)
    await migrate(database, lambda _line: None)
    usual, unchecked = LocalStorage(folder / "images"), LocalStorage(folder / "images")
    await usual.prepare()
    vars(process)["PROGRAM"] = unchecked_writer.PROGRAM
    await unchecked.prepare()
    services = {way: Services(database, usual, LIMITS) for way in WAYS}
    services["no checksum"] = Services(database, unchecked, LIMITS)
    for size_name, size in SIZES.items():
        medians = await upload_in_turn(services, photograph(size))
        full = medians.pop("everything")
        print(f"{size_name}: {full.passed:.2f} ms, of which {full.worked:.2f} of the event loop")
        for name, times in medians.items():
            print(
                f"    against {name}: {full.passed / times.passed:.3f}, "
                f"of the event loop {full.worked / times.worked:.3f}",
                flush=True,
            )
    await usual.close()
    await unchecked.close()
    await database.close()
    for name, (image_type, header) in worst().items():
        needed = []
        for _ in range(100):
            begin = time.perf_counter()
            inspected = inspection.Inspection(image_type)
            inspected.feed(header)
            inspected.facts()
            needed.append(time.perf_counter() - begin)
        print(
            f"{name}: {statistics.median(needed) * 1000:.2f} ms, longest {max(needed) * 1000:.2f}"
        )


def main() -> None:
    """Measure with a PostgreSQL of its own."""
    configure_pillow()
    with folder_of(None) as folder, embedded_postgres(folder / "postgres") as url:
        uvloop.run(measure(folder, url.render_as_string(hide_password=False)))


if __name__ == "__main__":
    main()
