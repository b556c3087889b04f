"""The tables in docs/formats.md. `python -m testkit.format_table.table` writes them again."""

import re
from collections.abc import Callable, Iterator, Sequence
from io import BytesIO
from pathlib import Path
from typing import Final

from PIL import Image

from app.domain.thumbnails import fit
from app.imaging.formats import ImageType
from app.imaging.rendering.child import Rendition
from testkit.format_samples import all_samples, picture
from testkit.format_samples.private import SECRET
from testkit.format_samples.sample import Sample
from testkit.format_table.decoding import all_frames, looks_like
from testkit.format_table.outcome import Outcome, outcomes

DOCUMENT: Final = Path(__file__).parents[3] / "docs/formats.md"
SHOWN: Final = {
    "plain": "shown",
    "orientation": "upright",
    "colour profile": "converted to sRGB",
    "alpha": "transparent",
    "deep colours": "with 8 bits",
    "animation": "first frame",
    "truncated": "as far as it came",
    "wrong extension": "by its bytes",
    "appended data": "ignored",
    "metadata": "left out",
    "MPO": "first image",
    "motion photo": "the photograph",
    "Ultra HDR": "without gain map",
    "burst": "primary image",
    "grid": "whole",
    "depth map": "the image",
    "thumbnail": "the image",
    "small": "cropped as it says",
}
"""What a thumbnail shows of a sample with a trait, in the order of the rows."""
STRIPPED: Final = {
    "plain": "same pixels",
    "orientation": "kept",
    "colour profile": "kept",
    "alpha": "kept",
    "deep colours": "kept",
    "animation": "all frames kept",
    "truncated": "as far as it came",
    "wrong extension": "by its bytes",
    "appended data": "removed",
    "metadata": "removed",
    "MPO": "first image kept",
    "motion photo": "film removed",
    "Ultra HDR": "gain map removed",
}
"""What is left of it."""
NAMES: Final = {
    "deep colours": "10, 12 or 16 bits a colour",
    "animation": "animation, sequence",
    "truncated": "truncated",
    "wrong extension": "name of another type",
    "appended data": "data behind the end",
    "metadata": "Exif, XMP, IPTC, comments",
    "MPO": "several images (MPO)",
    "burst": "several images (burst)",
    "grid": "tiles (grid)",
    "thumbnail": "thumbnail in the file",
    "small": "cropped by the file",
}
"""Of the rows, where that is not the name of the trait."""
WRONG: Final = "WRONG"
NONE: Final = "-"


def tables() -> str:
    """Write both tables."""
    all_types = list(ImageType)
    stripped = [kind for kind in all_types if kind not in {ImageType.AVIF, ImageType.HEIC}]
    return (
        "## What thumbnails show\n\n"
        + "\n".join(_table(all_types, SHOWN, thumbnail))
        + "\n\n## What `strip_metadata` leaves\n\n"
        + "\n".join(_table(stripped, STRIPPED, left))
        + "\n"
    )


def document() -> str:
    """Return the document as it should be."""
    text = DOCUMENT.read_text()
    return re.sub(r"## What thumbnails show\n.*?(?=\n## [^W]|\Z)", tables(), text, flags=re.DOTALL)


def thumbnail(sample: Sample, outcome: Outcome) -> str:
    """Return what thumbnails show of a sample, in the words of the table."""
    rendition = outcome.rendition
    if not rendition:
        return "none"
    if (rendition.width, rendition.height) != sample.size:
        return WRONG
    expected = picture.with_alpha() if sample.trait == "alpha" else picture.upright()
    if sample.size != picture.SIZE:
        expected = expected.crop((0, 0, *sample.size))
    part = 0.5 if sample.trait == "truncated" else 1
    is_right = thumbnails_look_like(rendition, expected, part)
    if is_right and (sample.image_type, sample.trait) == (ImageType.WEBP, "orientation"):
        return "as stored, as in browsers"
    return SHOWN[sample.trait] if is_right else WRONG


def thumbnails_look_like(rendition: Rendition, image: Image.Image, part: float = 1) -> bool:
    """Return whether thumbnails look like an image, or the upper part of them does."""
    for size, content in rendition.thumbnails.items():
        with Image.open(BytesIO(content), formats=["WEBP"]) as thumbnail:
            if thumbnail.size != fit(*image.size, size):
                return False
            upper = thumbnail.crop((0, 0, thumbnail.width, int(thumbnail.height * part)))
        if not looks_like(upper, image.crop((0, 0, image.width, int(image.height * part)))):
            return False
    return True


def left(sample: Sample, outcome: Outcome) -> str:
    """Return what stripping leaves of a sample, in the words of the table."""
    if outcome.stripped is None:
        return "refused"
    if SECRET in outcome.stripped:
        return WRONG
    if sample.trait != "truncated" and all_frames(outcome.stripped) != all_frames(sample.content):
        return WRONG
    return STRIPPED[sample.trait]


def _table(
    types: Sequence[ImageType], words: dict[str, str], cell: Callable[[Sample, Outcome], str]
) -> Iterator[str]:
    yield "| | " + " | ".join(kind.name for kind in types) + " |"
    yield "|---" * (len(types) + 1) + "|"
    for trait in words:
        cells = []
        for kind in types:
            samples = [one for one in all_samples().values() if one[:2] == (kind, trait)]
            found = {cell(sample, outcomes()[sample.name]) for sample in samples}
            cells.append("; ".join(sorted(found)) or NONE)
        yield f"| {NAMES.get(trait, trait)} | " + " | ".join(cells) + " |"


if __name__ == "__main__":
    DOCUMENT.write_text(document())
