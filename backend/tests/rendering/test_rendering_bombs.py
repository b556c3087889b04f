"""Images made to take all memory or time: each costs its bounded share, and no other image."""

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from typing import Final

import pytest

from app.imaging.formats import ImageType
from app.imaging.rendering.child import Child, Rendition
from app.imaging.rendering.protocol import RenderingFailed, RenderLimits, Unrenderable
from app.imaging.rendering.renderer import Renderer
from testkit import format_bombs, samples
from testkit.bombs import BOMBS, black_png, huge_jpeg, jpeg_of_scans, zeros
from testkit.format_samples import named
from testkit.open_files import opened, render
from testkit.samples import chunk, png_header, png_with

LIMITS: Final = RenderLimits(memory_mb=192, seconds=20, max_pixels=50_000_000)
JPEG: Final = samples.jpeg()
PNG: Final = samples.png()

HARMLESS: Final[dict[str, Callable[[], bytes]]] = {
    **{name: lambda name=name: BOMBS[name] for name in BOMBS if name != "pixels"},  # type: ignore[misc]
    "100 MB in a text": lambda: png_with(chunk(b"zTXt", b"a\0\0" + zeros(100 << 20))),
    "100 MB in a profile": lambda: png_with(chunk(b"iCCP", b"a\0\0" + zeros(100 << 20))),
    "100 MB behind the last row": lambda: black_png(10, 10, more=100 << 20),
    "99 scans of 4 megapixels": lambda: jpeg_of_scans(2000, 98),
    "GIF of 10,000 frames": format_bombs.gif_of_frames,
    "WebP of 10,000 frames": format_bombs.webp_of_frames,
}
REFUSED: Final[dict[str, tuple[str, Callable[[], bytes]]]] = {
    "PNG of 60,000 by 60,000 pixels": ("pixels", lambda: BOMBS["pixels"]),
    "JPEG of 65,500 by 65,500 pixels": ("pixels", huge_jpeg),
    "a row of 50 megapixels": ("limit for a side", lambda: black_png(50_000_000, 1)),
    "a column of 50 megapixels": ("limit for a side", lambda: black_png(1, 50_000_000)),
    "interlaced PNG of 200 MB": (
        "RENDER_MEMORY_MB",
        lambda: black_png(5000, 5000, deep=True),
    ),
    "GIF of 65,535 by 65,535 pixels": ("pixels", lambda: format_bombs.huge_gif(65_535)),
    "GIF that is cleared, of 49 megapixels": (
        "RENDER_MEMORY_MB",
        lambda: format_bombs.huge_gif(7000, frame=True),
    ),
    "WebP of 10,000 frames of 268 megapixels": (
        "pixels",
        lambda: format_bombs.webp_of_frames(16_383),
    ),
    "WebP of 10,000 frames of 49 megapixels": (
        "RENDER_MEMORY_MB",
        lambda: format_bombs.webp_of_frames(7000),
    ),
    "AVIF that claims 900 megapixels": (
        "pixels",
        lambda: format_bombs.claiming(ImageType.AVIF, 30_000, 30_000),
    ),
    "AVIF that claims 49 megapixels": (
        "RENDER_MEMORY_MB",
        lambda: format_bombs.claiming(ImageType.AVIF, 7000, 7000),
    ),
    "AVIF that claims a grid of 3,600 megapixels": (
        "pixels",
        lambda: format_bombs.grid(ImageType.AVIF, 60_000, claims=60_000),
    ),
    "AVIF with a grid of more than it claims": (
        "damaged",
        lambda: format_bombs.grid(ImageType.AVIF, 60_000, claims=128),
    ),
    "HEIC that claims 900 megapixels": (
        "pixels",
        lambda: format_bombs.claiming(ImageType.HEIC, 30_000, 30_000),
    ),
    "HEIC that claims a row of 100,000 pixels": (
        "limit for a side",
        lambda: format_bombs.claiming(ImageType.HEIC, 100_000, 1),
    ),
    "HEIC that claims no pixels": (
        "damaged",
        lambda: format_bombs.claiming(ImageType.HEIC, 0, 10),
    ),
    "HEIC of 4 megapixels that claims 4,096": (
        "damaged",
        lambda: format_bombs.denying(ImageType.HEIC, 2000),
    ),
    "HEIC that claims a grid of 3,600 megapixels": (
        "pixels",
        lambda: format_bombs.grid(ImageType.HEIC, 60_000, claims=60_000),
    ),
    "HEIC with a grid of more than it claims": (
        "damaged",
        lambda: format_bombs.grid(ImageType.HEIC, 60_000, claims=128),
    ),
    "HEIC of tiles of 49 megapixels": (
        "RENDER_MEMORY_MB",
        lambda: format_bombs.grid(ImageType.HEIC, 7000, claims=7000, across=31, tile=240),
    ),
    "no pixels at all": ("damaged", lambda: png_header(100, 100)),
}


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    renderer = Renderer(LIMITS, (150, 300, 800))
    yield renderer
    await renderer.close()


async def beside_others(renderer: Renderer, content: bytes) -> Rendition | BaseException:
    """Render an image before, beside and after one without faults, and return its outcome."""
    outcomes = await asyncio.gather(
        *(render(renderer, each) for each in (JPEG, content, JPEG, JPEG)), return_exceptions=True
    )
    assert all(isinstance(outcome, Rendition) for outcome in outcomes[::2] + outcomes[3:])
    return outcomes[1]


@pytest.mark.parametrize("name", HARMLESS)
async def test_what_is_not_looked_at_may_be_as_large_as_it_likes(
    renderer: Renderer, name: str
) -> None:
    outcome = await beside_others(renderer, HARMLESS[name]())
    assert isinstance(outcome, Rendition), outcome


@pytest.mark.parametrize("name", REFUSED)
async def test_an_image_that_takes_too_much_is_refused_with_the_reason(
    renderer: Renderer, name: str
) -> None:
    words, make = REFUSED[name]
    outcome = await beside_others(renderer, make())
    assert isinstance(outcome, Unrenderable), outcome
    assert words in str(outcome)


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: jpeg_of_scans(5000, 882), id="hundreds of scans"),
        pytest.param(
            lambda: format_bombs.grid(ImageType.HEIC, 7000, claims=7000, across=31, tile=2048),
            id="hundreds of tiles, of 4 megapixels each",
        ),
    ],
)
async def test_an_image_is_refused_for_its_processor_time(make: Callable[[], bytes]) -> None:
    child = await Child.start(LIMITS._replace(seconds=1), (150, 300, 800))
    with opened(make()) as descriptor, pytest.raises(Unrenderable, match="more processor time"):
        await child.render(descriptor)
    await child.kill()


DAMAGED: Final = {
    "JPEG": JPEG,
    "progressive JPEG": samples.jpeg(progressive=True),
    "PNG": PNG,
    **{
        name: named(name).content
        for name in (
            "gif animation",
            "webp plain",
            "webp alpha lossless",
            "webp animation",
            "avif metadata",
            "avif grid of tiles",
            "heic metadata",
            "heic grid of tiles",
        )
    },
}


@pytest.mark.parametrize("original", DAMAGED.values(), ids=DAMAGED)
async def test_no_damage_hurts_another_image(renderer: Renderer, original: bytes) -> None:
    generator = random.Random(original)  # noqa: S311 - the same in every run
    for _ in range(20):
        damaged = bytearray(original)
        for _ in range(generator.randint(1, 20)):
            damaged[generator.randrange(len(damaged))] = generator.randrange(256)
        end = generator.choice([len(damaged), generator.randrange(1, len(damaged))])
        outcome = (
            await asyncio.gather(render(renderer, bytes(damaged[:end])), return_exceptions=True)
        )[0]
        assert isinstance(outcome, Rendition | Unrenderable | RenderingFailed), outcome
    assert await render(renderer, JPEG)
