"""What clients upload: images of all types and many kinds, truncated ones, and what only begins so.

Some of them are to lose their metadata.
"""

import random
from functools import cache
from io import BytesIO
from typing import Any, Final, NamedTuple

from PIL import Image

from app.imaging.formats import HEAD_BYTES, detect
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from testkit import samples
from testkit.format_samples import all_samples
from testkit.format_samples.private import box


class Upload(NamedTuple):
    """A file, and what becomes of it."""

    content: bytes
    can_be_rendered: bool | None
    """None where it depends on where the file was cut."""
    strip_metadata: bool = False

    @property
    def stored(self) -> bytes | None:
        """What is stored and served of it; None if it is refused."""
        image_type = detect(self.content[:HEAD_BYTES])
        if not self.strip_metadata or not image_type:
            return self.content
        if image_type not in STRIPPERS:
            return None
        stripper = STRIPPERS[image_type]()
        try:
            return stripper.feed(self.content) + stripper.finish()
        except Unstrippable:
            return None


STRIPPED: Final = 0.3
"""Which part of all uploads is to lose its metadata."""
HEADER_BYTES: Final = 1_000
"""At least as much of a truncated one comes, with which an AVIF is known to be one."""
JPEG_MAGIC: Final = b"\xff\xd8\xff\xe0"
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
    ("P", "GIF", {}),
    ("RGB", "WEBP", {"exif": samples.exif(6)}),
    ("RGB", "AVIF", {"speed": 10}),
)
"""Mode, format and options of photographs."""


def upload_of(number: int) -> Upload:
    """Make an upload from its number alone, different from all others; of a negative one, small.

    Most of the small ones are broken, so that workers are soon done with them.
    """
    chance = random.Random(number)  # noqa: S311 - for variety
    if number < 0:
        whole = not number % 5
        content = whole_samples()[0] if whole else JPEG_MAGIC
        return Upload(content + _different(chance), can_be_rendered=whole)
    make = chance.choice((_noise, _sample, _sample, _photograph, _photograph, _truncated))
    return make(chance)._replace(strip_metadata=chance.random() < STRIPPED)


def _noise(chance: random.Random) -> Upload:
    content = JPEG_MAGIC + chance.randbytes(chance.choice(NOISE_BYTES))
    return Upload(content, can_be_rendered=False)


def _sample(chance: random.Random) -> Upload:
    return Upload(chance.choice(whole_samples()) + _different(chance), can_be_rendered=True)


def _photograph(chance: random.Random) -> Upload:
    return Upload(chance.choice(photographs()) + _different(chance), can_be_rendered=True)


def _truncated(chance: random.Random) -> Upload:
    whole = chance.choice(photographs())
    return Upload(whole[: chance.randrange(HEADER_BYTES, len(whole))], can_be_rendered=None)


def _different(chance: random.Random) -> bytes:
    """Make what may follow an image of any type, and what makes its file differ from others."""
    return box(b"free", chance.randbytes(16))


@cache
def whole_samples() -> tuple[bytes, ...]:
    """Return small images of all types and kinds."""
    of_old = (content for content, _ in samples.of_every_kind().values())
    others = (one.content for one in all_samples().values() if one.trait != "truncated")
    return (*of_old, *others)


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
