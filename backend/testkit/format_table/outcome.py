"""What the service finds out about a sample, shows of it, and leaves of it when it strips it."""

import asyncio
from contextlib import suppress
from functools import cache
from typing import Final, NamedTuple

from app.imaging.formats import HEAD_BYTES, ImageType, detect
from app.imaging.inspection import Facts, Inspection
from app.imaging.rendering.child import Rendition
from app.imaging.rendering.protocol import RenderLimits, Unrenderable
from app.imaging.rendering.renderer import Renderer
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from testkit.format_samples import all_samples
from testkit.format_samples.sample import Sample
from testkit.open_files import render
from testkit.stripping import strip

SIZES: Final = (64, 300)
"""Longest sides of the thumbnails: less than the sample's, and more."""
LIMITS: Final = RenderLimits(memory_mb=512, seconds=30, max_pixels=1_000_000)


class Outcome(NamedTuple):
    """What becomes of a sample."""

    image_type: ImageType | None
    facts: Facts
    rendition: Rendition | None
    unrenderable: str
    """Why there is no rendition."""
    stripped: bytes | None
    """None if it is refused."""


@cache
def outcomes() -> dict[str, Outcome]:
    """Return what becomes of each sample, by its name."""
    return asyncio.run(_all())


def facts_of(content: bytes, image_type: ImageType) -> Facts:
    """Return what is found out about a file as it arrives."""
    inspection = Inspection(image_type, everywhere=True)
    inspection.feed(content)
    return inspection.facts()


async def _all() -> dict[str, Outcome]:
    renderer = Renderer(LIMITS, SIZES)
    try:
        return {name: await _of(sample, renderer) for name, sample in all_samples().items()}
    finally:
        await renderer.close()


async def _of(sample: Sample, renderer: Renderer) -> Outcome:
    rendition = stripped = None
    unrenderable = ""
    try:
        rendition = await render(renderer, sample.content)
    except Unrenderable as error:
        unrenderable = str(error)
    if sample.image_type in STRIPPERS:
        with suppress(Unstrippable):
            stripped = strip(sample.content)
    return Outcome(
        detect(sample.content[:HEAD_BYTES]),
        facts_of(sample.content, sample.image_type),
        rendition,
        unrenderable,
        stripped,
    )
