"""Thumbnails of every kind of image look as Pillow shows the original."""

import struct
import zlib
from collections.abc import Iterator
from io import BytesIO
from typing import Any, Final

import pillow_heif
import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image, ImageCms, ImageOps

from app.domain.thumbnails import fit
from app.imaging.dimensions import configure_pillow
from app.imaging.rendering import thumbnails as rendering
from app.imaging.rendering.protocol import Answer
from testkit import samples
from testkit.format_samples import isobmff
from testkit.format_samples.gif import first_block
from testkit.format_samples.private import box
from testkit.open_files import opened
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


def animated(kind: str) -> bytes:
    others = [image().rotate(180), image().rotate(90)]
    return saved(image(), kind, save_all=True, append_images=others)


def saved_by_libvips(drawn: Image.Image, kind: str, **options: Any) -> bytes:
    """Write an image of 16 bits a channel, which Pillow cannot."""
    pixels = pyvips.Image.new_from_memory(drawn.tobytes(), *drawn.size, len(drawn.mode), "uchar")
    grey = drawn.mode.startswith("L")
    deep = (pixels * 257).cast("ushort").copy(interpretation="grey16" if grey else "rgb16")
    return bytes(deep.write_to_buffer(kind, **options))


def heic(drawn: Image.Image, *, premultiplied: bool = False, **options: Any) -> bytes:
    file = pillow_heif.from_pillow(drawn)
    file.premultiplied_alpha = premultiplied
    buffer = BytesIO()
    file.save(buffer, quality=80, **options)
    return buffer.getvalue()


def deep_heic(drawn: Image.Image, mode: str) -> bytes:
    pixels = bytes(value for value in drawn.tobytes() for _ in range(2))
    buffer = BytesIO()
    pillow_heif.from_bytes(mode, drawn.size, pixels).save(buffer, quality=80)
    return buffer.getvalue()


def turned_by(orientation: int) -> Image.Exif:
    found = Image.Exif()
    found[0x0112] = orientation
    return found


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
    "animated PNG": animated("PNG"),
    "GIF": saved(image(), "GIF"),
    "GIF in order": saved(image(), "GIF", interlace=0),
    "grey GIF": saved(image("L"), "GIF"),
    "GIF of 3 colours": saved(image().quantize(3), "GIF"),
    "GIF with alpha": saved(translucent(), "GIF"),
    "animated GIF": animated("GIF"),
    "WebP": saved(image(), "WEBP"),
    "lossless WebP": saved(image(), "WEBP", lossless=True),
    "WebP in P3": saved(image(), "WEBP", icc_profile=profile("p3")),
    "WebP with alpha": saved(translucent(), "WEBP"),
    "lossless WebP with alpha": saved(translucent(), "WEBP", lossless=True),
    "animated WebP": animated("WEBP"),
    **{f"WebP, orientation {n}": saved(image(), "WEBP", exif=turned_by(n)) for n in range(1, 9)},
    "AVIF": saved(image(), "AVIF"),
    "AVIF 4:4:4": saved(image(), "AVIF", subsampling="4:4:4"),
    "AVIF of narrow range": saved(image(), "AVIF", range="limited"),
    "grey AVIF": saved(image("L"), "AVIF"),
    "AVIF in P3": saved(image(), "AVIF", icc_profile=profile("p3")),
    "AVIF with alpha": saved(translucent(), "AVIF"),
    "AVIF with premultiplied alpha": saved(translucent(), "AVIF", alpha_premultiplied=True),
    "AVIF of 10 bits": saved_by_libvips(image(), ".avif", bitdepth=10),
    "AVIF of 12 bits with alpha": saved_by_libvips(translucent(), ".avif", bitdepth=12),
    "animated AVIF": animated("AVIF"),
    **{f"AVIF, orientation {n}": saved(image(), "AVIF", exif=turned_by(n)) for n in range(1, 9)},
    "HEIC": heic(image()),
    "HEIC 4:4:4": heic(image(), chroma=444),
    "HEIC of narrow range": heic(image(), full_range_flag=0),
    "HEIC of BT.709": heic(image(), matrix_coefficients=1),
    "HEIC of tiles": heic(image(), tile_size=128),
    "grey HEIC": heic(image("L")),
    "HEIC in P3": heic(image(), icc_profile=profile("p3"), icc_profile_type="prof"),
    "HEIC with alpha": heic(translucent()),
    "HEIC with premultiplied alpha": heic(translucent(), premultiplied=True),
    "HEIC of 10 bits": deep_heic(image(), "RGB;16"),
    "HEIC of 10 bits with alpha": deep_heic(translucent(), "RGBA;16"),
    "grey HEIC of 10 bits": deep_heic(image("L"), "L;16"),
    **{f"HEIC, orientation {n}": heic(image(), exif=turned_by(n).tobytes()) for n in range(1, 9)},
}


@pytest.fixture(autouse=True)
def _prepared() -> Iterator[None]:
    """Set up the libraries as a rendering process does, for one test: others decode all types."""
    rendering.prepare()
    yield
    pyvips.operation_block_set("VipsForeignLoad", state=False)
    configure_pillow()


def render(content: bytes) -> tuple[Answer, dict[int, Image.Image]]:
    with opened(content) as descriptor:
        answer, thumbnails = rendering.render(descriptor, list(SIZES), 1_000_000)
    assert [len(thumbnail) for thumbnail in thumbnails] == answer.lengths
    images = [Image.open(BytesIO(data), formats=["WEBP"]) for data in thumbnails]
    return answer, dict(zip(SIZES, images, strict=True))


def reference(content: bytes) -> Image.Image:
    """Return an image as Pillow shows it, but a WebP as it is stored, as Chromium shows it."""
    if content[8:12] in {b"heic", b"heix", b"mif1"}:
        original = pillow_heif.open_heif(content).to_pillow()
    else:
        original = Image.open(BytesIO(content))
    icc = original.info.get("icc_profile")
    original.load()
    shown = original if original.format == "WEBP" else ImageOps.exif_transpose(original)
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
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
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


def test_what_the_first_frame_of_a_gif_leaves_out_is_transparent() -> None:
    content = bytearray(KINDS["GIF"])
    content[6:10] = struct.pack("<HH", 2 * WIDTH, 2 * HEIGHT)  # of the screen
    frame = content.index(b",", first_block(KINDS["GIF"]))
    content[frame + 1 : frame + 5] = struct.pack("<HH", WIDTH, 0)  # its place
    answer, thumbnails = render(bytes(content))
    assert (answer.width, answer.height) == (2 * WIDTH, 2 * HEIGHT)
    assert_similar(thumbnails[300].crop((150, 0, 300, 112)), image())
    assert [alpha > 250 for *_, alpha in corners(thumbnails[300])] == [False, True, False, False]


def test_an_avif_is_cropped_as_the_service_measures_it() -> None:
    """As Chromium does: only where what is shown begins in the top left corner."""
    item = isobmff.first_item(KINDS["AVIF"])
    fractions = [WIDTH // 2, 1, HEIGHT // 2, 1, -WIDTH, 4, -HEIGHT, 4]
    item.properties.append(box(b"clap", struct.pack(">IIIIiIiI", *fractions)))
    answer, thumbnails = render(isobmff.write(b"avif", [item]))
    assert (answer.width, answer.height) == (WIDTH // 2, HEIGHT // 2)
    assert_similar(thumbnails[150], Image.new("RGB", (150, 112), CORNERS[0]))


def test_a_frame_of_a_gif_beyond_its_screen_makes_the_image_larger() -> None:
    content = bytearray(KINDS["GIF"])
    content[6:10] = struct.pack("<HH", WIDTH // 2, HEIGHT // 2)
    answer, thumbnails = render(bytes(content))
    assert (answer.width, answer.height) == (WIDTH, HEIGHT)
    assert_similar(thumbnails[300], image())


@pytest.mark.parametrize("name", ["WebP", "lossless WebP", "AVIF", "HEIC"])
def test_a_truncated_image_of_which_no_part_can_be_decoded_is_called_damaged(name: str) -> None:
    content = KINDS[name]
    with opened(content[: len(content) * 9 // 10]) as descriptor:
        answer, thumbnails = rendering.try_to_render(descriptor, list(SIZES), 1_000_000)
    assert answer.unrenderable == "The image is damaged and cannot be decoded."
    assert answer.detail
    assert not thumbnails


@pytest.mark.parametrize("kind", ["JPEG", "GIF", "HEIC of tiles"])
def test_what_there_is_of_a_truncated_image_is_rendered(kind: str) -> None:
    noise = Image.effect_noise((WIDTH, HEIGHT), 60).convert("RGB")
    content = heic(noise, tile_size=64) if kind == "HEIC of tiles" else saved(noise, kind)
    answer, thumbnails = render(content[: len(content) // 2])
    assert (answer.width, answer.height) == (WIDTH, HEIGHT)
    upper = thumbnails[150].crop((0, 0, 150, 40)).convert("L")
    assert upper.entropy() > 1
