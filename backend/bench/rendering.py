"""Rendering: a worker's whole job against the libraries called directly, and its memory."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, Final

import PIL.Image
import pillow_heif
import pyvips  # type: ignore[import-untyped]
from sqlalchemy.engine import make_url

from app.database.embedded import embedded_postgres
from app.database.engine import Database
from app.database.migration import migrate
from app.domain.limits import UploadLimits
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.local.backend import LocalStorage
from bench import seed
from bench.render_alone import WAYS
from bench.site import Site
from bench.work import Comparison, Contender, Contenders, Sample, require

LARGE: Final[dict[str, tuple[str, dict[str, Any]]]] = {
    "JPEG": ("jpg", {}),
    "progressive JPEG": ("jpg", {"interlace": True}),
    "progressive JPEG 4:4:4": ("jpg", {"interlace": True, "subsample_mode": "off"}),
    "PNG": ("png", {}),
    "PNG with alpha": ("png", {"alpha": True}),
    "interlaced PNG": ("png", {"interlace": True}),
    "interlaced PNG with alpha": ("png", {"interlace": True, "alpha": True}),
    "GIF": ("gif", {}),
    "WebP": ("webp", {}),
    "WebP with alpha": ("webp", {"alpha": True}),
    "lossless WebP": ("webp", {"lossless": True, "effort": 0}),
    "AVIF": ("avif", {}),
    "AVIF with alpha": ("avif", {"alpha": True}),
    "HEIC of tiles": ("heic", {}),
    "HEIC of tiles with alpha": ("heic", {"alpha": True}),
}
"""Images of 40 megapixels: their type, and how they are written."""
BOUND: Final = "300 MiB"

_ENCODED_BY_PILLOW: Final[dict[str, dict[str, Any]]] = {
    ".gif": {},
    ".avif": {"quality": 65, "speed": 10},
    ".heic": {"quality": 60, "tile_size": 512, "enc_params": {"preset": "ultrafast"}},
}

_SMALLER: Final = {
    "JPEG, 12 megapixels": ("jpg", 4000, 3000),
    "PNG, 4 megapixels": ("png", 2448, 1632),
    "GIF, 12 megapixels": ("gif", 4000, 3000),
    "WebP, 12 megapixels": ("webp", 4000, 3000),
    "AVIF, 12 megapixels": ("avif", 4000, 3000),
    "HEIC, 12 megapixels": ("heic", 4000, 3000),
}
_IMAGES: Final = 40
"""Most that one run of the worker renders."""
_LIMITS: Final = UploadLimits(
    max_upload_bytes=1_000_000_000, batch_max_files=1, uploads_per_hour_per_ip=0
)


def against(ways: Sequence[str] = tuple(WAYS)) -> tuple[Comparison, ...]:
    """Compare a worker's job with what libraries take alone: time by its goal, and memory."""
    goals = tuple(Comparison("worker", way, at_most=1.25, unit="CPU ms") for way in ways)
    return goals + tuple(Comparison("worker", way, unit="MiB") for way in ways)


@contextmanager
def times(site: Site, name: str, ways: Sequence[str] = tuple(WAYS)) -> Iterator[Contenders]:
    """Render one image in three sizes, over and over."""
    extension, width, height = _SMALLER[name]
    with _host(site) as (url, folder):
        file = folder / f"original.{extension}"
        write_image(file, width, height)
        ids = asyncio.run(_upload(url, folder, file, _IMAGES))

        def worker(seconds: float) -> Sample:
            asyncio.run(_forget_thumbnails(url))
            return _run("worker", url, folder, seconds, *ids)

        contenders: dict[str, Contender] = {"worker": worker}
        for way in ways:
            contenders[way] = partial(_run, way, file)
        yield Contenders(contenders)


@contextmanager
def memory(site: Site) -> Iterator[Contenders]:
    """Render images of 40 megapixels, each in a worker of its own."""
    with _host(site) as (url, folder):

        def peak_of(file: Path) -> Contender:
            ids = asyncio.run(_upload(url, folder, file, 1))

            def measure(seconds: float) -> Sample:
                asyncio.run(_forget_thumbnails(url))
                return _run("worker", url, folder, seconds, *ids)

            return measure

        contenders: dict[str, Contender] = {BOUND: lambda _: {"MiB": 300.0}}
        for name, (extension, options) in LARGE.items():
            file = folder / f"original.{extension}"
            write_image(file, 7728, 5176, **options)
            contenders[name] = peak_of(file)
            file.unlink()
        yield Contenders(contenders)


def write_image(
    file: Path, width: int, height: int, *, alpha: bool = False, **options: Any
) -> None:
    """Write an image like a photograph: coarse shapes, finer ones, and noise."""
    image = PIL.Image.effect_noise((width, height), 12)
    for part in (4, 16, 64, 256):
        coarse = PIL.Image.effect_noise((part, part), 120).resize((width, height))
        image = PIL.Image.blend(image, coarse, 0.4)
    bands = [image, image.rotate(180), PIL.Image.effect_noise((width, height), 12)]
    if alpha:
        bands.append(PIL.Image.radial_gradient("L").resize((width, height)))
    merged = PIL.Image.merge("RGBA" if alpha else "RGB", bands)
    if file.suffix in _ENCODED_BY_PILLOW:
        pillow_heif.register_heif_opener()
        merged.save(file, **_ENCODED_BY_PILLOW[file.suffix])
        return
    written = pyvips.Image.new_from_memory(merged.tobytes(), width, height, len(bands), "uchar")
    written.copy(interpretation="srgb").write_to_file(str(file), **options)


@contextmanager
def _host(site: Site) -> Iterator[tuple[str, Path]]:
    """Run a new host: yield the URL of its database, and the folder of its images."""
    with site.fresh_data() as data, embedded_postgres(data / "postgres") as address:
        url = address.render_as_string(hide_password=False)
        asyncio.run(migrate(Database(url), lambda _: None))
        (data / "images").mkdir()
        yield url, data / "images"


async def _upload(url: str, folder: Path, file: Path, count: int) -> list[str]:
    database, storage = Database(url), LocalStorage(folder)
    uploads = Services(database, storage, _LIMITS).uploads
    ids = []
    for _ in range(count):
        image = await uploads.upload(IncomingFile(file.name, _pieces(file)), None)
        ids.append(str(image.id))
    await uploads.close()
    await storage.close()
    await database.close()
    return ids


async def _pieces(file: Path) -> AsyncIterator[bytes]:
    with file.open("rb") as opened:
        while piece := opened.read(1 << 20):
            yield piece


async def _forget_thumbnails(url: str) -> None:
    await seed.execute(
        make_url(url), "UPDATE images SET rendered_at = NULL, thumbnail_sizes = NULL"
    )


def _run(*arguments: object) -> Sample:
    program = [sys.executable, "-m", "bench.render_process", *map(str, arguments)]
    environment = os.environ | {"VIPS_CONCURRENCY": "1"}
    done = subprocess.run(program, env=environment, stdout=subprocess.PIPE, text=True, check=False)
    require(done.returncode == 0, f"{program[2]} {program[3]} has failed")
    sample: Sample = json.loads(done.stdout)
    return sample
