"""Thumbnails of every kind of image look as Pillow shows the original."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from tempfile import TemporaryFile
from typing import Any, Final

import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageOps

from app.domain.thumbnails import fit
from app.imaging.rendering import vips
from app.imaging.rendering.protocol import Answer
from testkit import samples
from testkit.orientations import TURNED, UPRIGHT
from testkit.samples import chunk, exif, segment

SIZES: Final = (800, 150, 300)
WIDTH, HEIGHT = 480, 360
CORNERS: Final = ((200, 60, 60), (60, 180, 80), (70, 80, 200), (210, 200, 70))
TOLERANCE: Final = 6
"""Of a mean colour, 0 to 255: what WebP and the conversions between colours change."""

Colour = tuple[float, ...]


def image(mode: str = "RGB") -> Image.Image:
    """Draw an image whose four corners differ."""
    drawn = Image.new("RGB", (WIDTH, HEIGHT))
    for number, colour in enumerate(CORNERS):
        place = (number % 2 * WIDTH // 2, number // 2 * HEIGHT // 2)
        drawn.paste(colour, (*place, place[0] + WIDTH // 2, place[1] + HEIGHT // 2))
    return drawn.convert(mode)


def translucent(mode: str = "RGBA") -> Image.Image:
    """Draw the same, from transparent on the left to opaque on the right."""
    drawn = image("RGBA")
    alpha = Image.linear_gradient("L").rotate(90).resize((WIDTH, HEIGHT))
    drawn.putalpha(alpha)
    return drawn.convert(mode)


def saved(drawn: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    drawn.save(buffer, kind, **options)
    return buffer.getvalue()


def transparent_palette() -> bytes:
    drawn = image().quantize(8)
    return saved(drawn, "PNG", transparency=drawn.getpixel((1, 1)))


def deep_png(drawn: Image.Image, *, interlaced: bool = False) -> bytes:
    """Write a PNG with 16 bits a channel, which Pillow cannot."""
    bands = len(drawn.getbands())
    width, height = drawn.size
    wide = b"".join(bytes((value, value)) for value in drawn.tobytes())
    passes = samples.ADAM7 if interlaced else ((0, 0, 1, 1),)
    lines = bytearray()
    for column, row, across, down in passes:
        for y in range(row, height, down):
            line = wide[y * width * bands * 2 : (y + 1) * width * bands * 2]
            pixels = [line[x : x + bands * 2] for x in range(0, len(line), bands * 2)]
            lines += b"\0" + b"".join(pixels[column::across])
    colour_type = {1: 0, 2: 4, 3: 2, 4: 6}[bands]
    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, interlaced)
    data = chunk(b"IDAT", zlib.compress(bytes(lines))) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + data


def turned(orientation: int) -> bytes:
    plain = saved(image(), "JPEG")
    return plain[:2] + segment(0xE1, exif(orientation)) + plain[2:]


def turned_png(orientation: int) -> bytes:
    plain = saved(image(), "PNG")
    return plain[:33] + chunk(b"eXIf", exif(orientation).removeprefix(b"Exif\0\0")) + plain[33:]


def profile(name: str) -> bytes:
    return bytes(pyvips.Operation.call("profile_load", name))


def animated() -> bytes:
    others = [image().rotate(180), image().rotate(90)]
    return saved(image(), "PNG", save_all=True, append_images=others)


KINDS: Final = {
    "JPEG": saved(image(), "JPEG"),
    "progressive JPEG": saved(image(), "JPEG", progressive=True),
    "JPEG 4:4:4": saved(image(), "JPEG", subsampling=0),
    "grey JPEG": saved(image("L"), "JPEG"),
    "JPEG in sRGB": saved(image(), "JPEG", icc_profile=profile("srgb")),
    "JPEG in P3": saved(image(), "JPEG", icc_profile=profile("p3")),
    "JPEG with a broken profile": saved(image(), "JPEG", icc_profile=b"garbage" * 100),
    "JPEG with a profile of another colour space": saved(
        image(), "JPEG", icc_profile=profile("cmyk")
    ),
    **{f"JPEG, orientation {n}": turned(n) for n in range(1, 9)},
    **{f"PNG, orientation {n}": turned_png(n) for n in range(1, 9)},
    "PNG": saved(image(), "PNG"),
    "grey PNG": saved(image("L"), "PNG"),
    "PNG in P3": saved(image(), "PNG", icc_profile=profile("p3")),
    "PNG with alpha": saved(translucent(), "PNG"),
    "grey PNG with alpha": saved(translucent("LA"), "PNG"),
    "PNG with a palette": saved(image().quantize(16), "PNG"),
    "PNG with a palette of which one is transparent": transparent_palette(),
    "PNG of black and white": saved(image("1"), "PNG"),
    "PNG of 16 bits": deep_png(image()),
    "grey PNG of 16 bits": deep_png(image("L")),
    "PNG of 16 bits with alpha": deep_png(translucent()),
    "grey PNG of 16 bits with alpha": deep_png(translucent("LA")),
    "interlaced PNG of 16 bits": deep_png(image(), interlaced=True),
    "interlaced PNG of 16 bits with alpha": deep_png(translucent(), interlaced=True),
    "animated PNG": animated(),
}


@contextmanager
def opened(content: bytes) -> Iterator[int]:
    with TemporaryFile() as file:
        file.write(content)
        file.flush()
        yield file.fileno()


def render(content: bytes) -> tuple[Answer, dict[int, Image.Image]]:
    vips.prepare()
    with opened(content) as descriptor:
        answer, thumbnails = vips.render(descriptor, list(SIZES), 1_000_000)
    assert [len(thumbnail) for thumbnail in thumbnails] == answer.lengths
    images = [Image.open(BytesIO(data), formats=["WEBP"]) for data in thumbnails]
    return answer, dict(zip(SIZES, images, strict=True))


def reference(content: bytes) -> Image.Image:
    """Return an image as Pillow shows it."""
    original = Image.open(BytesIO(content))
    icc = original.info.get("icc_profile")
    original.load()
    shown = ImageOps.exif_transpose(original)
    if shown.mode == "I;16":
        shown = shown.point(lambda value: value / 257).convert("L")
    if shown.mode == "RGB" and icc in {profile("p3"), profile("srgb")}:
        source = ImageCms.ImageCmsProfile(BytesIO(icc))
        converted = ImageCms.profileToProfile(shown, source, ImageCms.createProfile("sRGB"))
        assert converted
        shown = converted
    return shown.convert("RGBA")


def corners(shown: Image.Image) -> list[Colour]:
    """Return the mean colours of the four quarters, premultiplied, and their mean alpha."""
    width, height = shown.size
    quarters = shown.convert("RGBA").convert("RGBa").resize((2, 2), Image.Resampling.BOX)
    assert min(width, height) > 1
    return [quarters.getpixel((n % 2, n // 2)) for n in range(4)]  # type: ignore[misc]


def assert_similar(found: Image.Image, expected: Image.Image, tolerance: int = TOLERANCE) -> None:
    for one, other in zip(corners(found), corners(expected), strict=True):
        assert all(abs(a - b) <= tolerance for a, b in zip(one, other, strict=True)), (one, other)


@pytest.mark.parametrize("name", KINDS)
def test_a_thumbnail_looks_like_its_original(name: str) -> None:
    expected = reference(KINDS[name])
    answer, thumbnails = render(KINDS[name])
    assert (answer.width, answer.height) == expected.size
    for size, thumbnail in thumbnails.items():
        assert thumbnail.size == fit(*expected.size, size)
        assert_similar(thumbnail, expected)
    has_alpha = expected.getchannel("A").getextrema() != (255, 255)
    assert thumbnails[150].mode == ("RGBA" if has_alpha else "RGB")


@pytest.mark.parametrize("icc", [None, profile("cmyk")], ids=["without", "with"])
def test_cmyk_is_converted_by_a_profile(icc: bytes | None) -> None:
    """Without a profile, libvips takes one of usual print, of which Pillow knows nothing."""
    cmyk = image("CMYK")
    content = saved(cmyk, "JPEG", quality=95, icc_profile=icc)
    source = ImageCms.ImageCmsProfile(BytesIO(profile("cmyk")))
    srgb = ImageCms.createProfile("sRGB")
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    expected = ImageCms.profileToProfile(cmyk, source, srgb, intent, "RGB")
    assert expected
    for thumbnail in render(content)[1].values():
        assert_similar(thumbnail, expected, tolerance=10)


@pytest.mark.parametrize(
    ("width", "height", "sides"),
    [
        (1, 1, {800: (1, 1), 150: (1, 1), 300: (1, 1)}),
        (1, 5000, {800: (1, 800), 150: (1, 150), 300: (1, 300)}),
        (5000, 1, {800: (800, 1), 150: (150, 1), 300: (300, 1)}),
        (3, 2000, {800: (1, 800), 150: (1, 150), 300: (1, 300)}),
        (300, 200, {800: (300, 200), 150: (150, 100), 300: (300, 200)}),
        (301, 299, {800: (301, 299), 150: (150, 149), 300: (300, 298)}),
    ],
)
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_thin_and_small_images_keep_their_shape_and_are_not_enlarged(
    kind: str, width: int, height: int, sides: dict[int, tuple[int, int]]
) -> None:
    content = saved(Image.new("RGB", (width, height), CORNERS[0]), kind)
    answer, thumbnails = render(content)
    assert (answer.width, answer.height) == (width, height)
    assert {size: thumbnail.size for size, thumbnail in thumbnails.items()} == sides
    for thumbnail in thumbnails.values():
        colour = thumbnail.resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))
        assert all(abs(a - b) <= TOLERANCE for a, b in zip(colour, CORNERS[0], strict=True))  # type: ignore[arg-type]


@pytest.mark.parametrize("name", TURNED | UPRIGHT)
def test_an_image_is_turned_as_the_service_and_browsers_turn_it(name: str) -> None:
    content = (TURNED | UPRIGHT)[name]
    answer, thumbnails = render(content)
    shown = (48, 64) if name in TURNED else (64, 48)
    assert (answer.width, answer.height) == shown
    assert {thumbnail.size for thumbnail in thumbnails.values()} == {shown}


@pytest.mark.parametrize("name", samples.of_every_kind())
def test_every_kind_of_image_that_is_accepted_is_rendered(name: str) -> None:
    answer, _ = render(samples.of_every_kind()[name][0])
    assert (answer.width, answer.height) == samples.shown(name)
    assert 5 < len(bytes.fromhex(answer.placeholder)) < 26


def test_nothing_of_the_original_s_metadata_is_in_a_thumbnail() -> None:
    content = saved(image(), "JPEG", icc_profile=profile("p3"), exif=exif(1))
    for thumbnail in render(content)[1].values():
        assert not {"exif", "icc_profile", "xmp"} & thumbnail.info.keys()


def test_what_there_is_of_a_truncated_jpeg_is_rendered() -> None:
    content = samples.jpeg(WIDTH, HEIGHT)
    answer, thumbnails = render(content[: len(content) // 2])
    assert (answer.width, answer.height) == (WIDTH, HEIGHT)
    upper = thumbnails[150].crop((0, 0, 150, 40)).convert("L")
    assert upper.entropy() > 1
