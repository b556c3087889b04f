"""What clients upload: images of many kinds, truncated ones, and what only begins as an image."""

import random
from functools import cache
from io import BytesIO
from typing import Any, Final, NamedTuple

from PIL import Image

from testkit import samples


class Upload(NamedTuple):
    """A file."""

    content: bytes
    can_be_rendered: bool | None
    """None where it depends on where the file was cut."""


NOISE_BYTES: Final = (50, 4_000, 40_000, 40_000, 40_000, 700_000)
"""Mostly small, some of many blocks."""
KINDS: Final[tuple[tuple[str, str, dict[str, Any]], ...]] = (
    ("RGB", "JPEG", {}),
    ("RGB", "JPEG", {"progressive": True}),
    ("RGB", "JPEG", {"exif": samples.exif(6)}),
    ("CMYK", "JPEG", {}),
    ("L", "JPEG", {}),
    ("RGBA", "PNG", {"compress_level": 1}),
    ("P", "PNG", {}),
    ("RGB", "WEBP", {}),
    ("P", "GIF", {}),
)
"""Mode, format and options of photographs."""


def upload_of(number: int) -> Upload:
    """Make an upload from its number alone, different from all others."""
    chance = random.Random(number)  # noqa: S311 - for variety
    make = chance.choice((_noise, _sample, _sample, _photograph, _photograph, _truncated))
    return make(chance)


def _noise(chance: random.Random) -> Upload:
    content = b"\xff\xd8\xff\xe0" + chance.randbytes(chance.choice(NOISE_BYTES))
    return Upload(content, can_be_rendered=False)


def _sample(chance: random.Random) -> Upload:
    content, _ = chance.choice(list(samples.of_every_kind().values()))
    return Upload(content + chance.randbytes(16), can_be_rendered=True)


def _photograph(chance: random.Random) -> Upload:
    return Upload(chance.choice(photographs()) + chance.randbytes(16), can_be_rendered=True)


def _truncated(chance: random.Random) -> Upload:
    whole = chance.choice(photographs())
    return Upload(whole[: chance.randrange(100, len(whole))], can_be_rendered=None)


@cache
def photographs() -> tuple[bytes, ...]:
    """Return photographs of several kinds, larger than the largest thumbnail."""
    sides = ((1200, 900), (900, 1200), (1600, 300))
    return tuple(
        _save(_colours(*both).convert(mode), kind, options)
        for both in sides
        for mode, kind, options in KINDS
    )


def _colours(width: int, height: int) -> Image.Image:
    bands = [Image.effect_noise((width // 16, height // 16), 90) for _ in range(3)]
    return Image.merge("RGB", bands).resize((width, height), Image.Resampling.BICUBIC)


def _save(image: Image.Image, kind: str, options: dict[str, Any]) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()
