"""What is read from files of each type as exiftool reads it too, and never where or by whom."""

import json
from collections.abc import AsyncIterator
from typing import Any, Final

import pytest

from app.domain.metadata import MAX_TEXT, Metadata
from app.imaging.formats import ImageType
from app.imaging.rendering.protocol import RenderLimits, Unrenderable
from app.imaging.rendering.renderer import Renderer
from testkit import samples
from testkit.exif import HOSTILE
from testkit.exiftool import read_tags, with_tags
from testkit.format_samples import named, private, webp
from testkit.live import TIMEOUT
from testkit.open_files import extract, render
from testkit.programs import needs_exiftool
from testkit.stripping import strip

WITH_EXIF: Final = ("jpeg", "png", "webp", "avif", "heic")
TAGS: Final = {
    "camera_make": ("IFD0:Make", "NIKON CORPORATION"),
    "camera_model": ("IFD0:Model", "NIKON Z 6_2"),
    "lens": ("ExifIFD:LensModel", "Voigtländer APO-LANTHAR 50mm F2"),
    "software": ("IFD0:Software", "Capture One 23"),
    "taken_at": ("ExifIFD:DateTimeOriginal", "2026:11:24 12:00:00"),
    "exposure_time": ("ExifIFD:ExposureTime", 0.004),
    "f_number": ("ExifIFD:FNumber", 2.8),
    "iso": ("ExifIFD:ISO", 6400),
    "focal_length": ("ExifIFD:FocalLength", 50.3),
    "focal_length_35mm": ("ExifIFD:FocalLengthIn35mmFormat", 75),
}
"""By field: the tag as exiftool names it, and what a camera writes."""
PLACES: Final = (
    *("-GPSLatitude=48.137154", "-GPSLatitudeRef=N", "-GPSLongitude=11.576124"),
    *("-GPSLongitudeRef=E", "-GPSAreaInformation=Marienplatz", "-GPSDateStamp=2026:11:24"),
    *("-XMP-exif:GPSLatitude=48.137154", "-XMP-exif:GPSLongitude=11.576124"),
    *("-XMP-photoshop:City=Muenchen", "-XMP-iptcExt:LocationShownCity=Muenchen"),
    *("-IFD0:ImageDescription=Marienplatz", "-ExifIFD:UserComment=Marienplatz"),
    *("-IFD0:Artist=Lieschen Mueller", "-IFD0:Copyright=Lieschen Mueller"),
    *("-ExifIFD:OwnerName=Lieschen Mueller", "-ExifIFD:SerialNumber=SN4711"),
    *("-ExifIFD:LensSerialNumber=SN4712", "-IFD0:HostComputer=lieschens-phone"),
)
IPTC: Final = ("-IPTC:City=Muenchen", "-IPTC:Sub-location=Marienplatz", "-IPTC:By-line=Lieschen")
NEVER: Final = ("48.1", "11.5", "gps", "marienplatz", "muenchen", "mueller", "lieschen", "sn47")


@pytest.fixture
async def renderer() -> AsyncIterator[Renderer]:
    limits = RenderLimits(memory_mb=512, seconds=int(TIMEOUT), max_pixels=1_000_000)
    renderer = Renderer(limits, (150,))
    yield renderer
    await renderer.close()


def tagged(kind: str, *options: str) -> bytes:
    return with_tags(named(f"{kind} plain").content, *options)


def webp_with(exif: bytes) -> bytes:
    """Make a WebP with a last chunk of Exif."""
    return webp.riff(named("webp plain").content[12:] + webp.chunk(b"EXIF", exif))


def written(tags: dict[str, Any]) -> list[str]:
    return [f"-{tag}#={value}" for tag, value in tags.items()]


@needs_exiftool
@pytest.mark.parametrize("kind", WITH_EXIF)
async def test_a_photograph_says_what_exiftool_finds_in_it(renderer: Renderer, kind: str) -> None:
    content = tagged(kind, *written(dict(TAGS.values())), "-IFD0:Orientation#=1")
    found = await extract(renderer, content)
    tags = read_tags({"photo.jpg": content})["photo.jpg"]
    assert found.pop("taken_at") == "2026-11-24T12:00:00"
    assert tags[TAGS["taken_at"][0]] == "2026:11:24 12:00:00"
    assert found.pop("orientation", 1) == 1
    expected = {name: tags[tag] for name, (tag, _) in TAGS.items() if name != "taken_at"}
    assert found == expected
    assert found == {name: value for name, (_, value) in TAGS.items() if name != "taken_at"}


@needs_exiftool
@pytest.mark.parametrize("kind", WITH_EXIF)
async def test_no_place_and_no_person_is_extracted_wherever_it_is_written(
    renderer: Renderer, kind: str
) -> None:
    options = [*PLACES, *(IPTC if kind == "jpeg" else ()), "-IFD0:Make=Acme"]
    content = tagged(kind, *options)
    tags = json.dumps(read_tags({"photo.jpg": content})).lower()
    assert all(word in tags for word in NEVER), "else nothing is tested"
    found = await extract(renderer, content)
    assert found.pop("camera_make") == "Acme"
    said = json.dumps(found).lower()
    assert not [word for word in NEVER if word in said]


@pytest.mark.parametrize("kind", ["gif", *WITH_EXIF])
async def test_what_people_may_want_removed_is_not_extracted(renderer: Renderer, kind: str) -> None:
    found = await extract(renderer, named(f"{kind} metadata").content)
    assert private.SECRET.decode() not in json.dumps(found)
    camera = private.CAMERA
    expected = {"camera_make": camera["make"], "camera_model": camera["model"]}
    expected |= {"lens": camera["lens"], "software": camera["software"]}
    assert {name: found.get(name) for name in expected} == (
        dict.fromkeys(expected) if kind == "gif" else expected
    )


@pytest.mark.parametrize("image_type", ImageType)
async def test_a_file_that_says_nothing_has_no_metadata(
    renderer: Renderer, image_type: ImageType
) -> None:
    name = f"{image_type.removeprefix('image/')} plain"
    found = await extract(renderer, named(name).content)
    found.pop("orientation", None)
    assert found == {}


@pytest.mark.parametrize("kind", ["jpeg", "png", "webp", "gif"])
async def test_of_a_stripped_file_only_the_orientation_is_extracted(
    renderer: Renderer, kind: str
) -> None:
    found = await extract(renderer, strip(named(f"{kind} metadata").content))
    assert not found.keys() - {"orientation"}


@needs_exiftool
@pytest.mark.parametrize("offset", ["+05:30", "-08:00"])
async def test_the_offset_of_the_time_is_shown_where_it_is_known(
    renderer: Renderer, offset: str
) -> None:
    options = ["-DateTimeOriginal=2026:11:24 12:00:00", f"-OffsetTimeOriginal={offset}"]
    found = await extract(renderer, tagged("jpeg", *options))
    assert found["taken_at"] == f"2026-11-24T12:00:00{offset}"


@needs_exiftool
@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["-ExifIFD:DateTimeOriginal#=0000:00:00 00:00:00"], {}),
        (["-ExifIFD:DateTimeOriginal#=    :  :     :  :  "], {}),
        (["-IFD0:ModifyDate=2026:11:24 12:00:00"], {}),
        (
            ["-ExifIFD:DateTimeOriginal#=2026:11:24 12:00:00", "-OffsetTimeOriginal#=   :  "],
            {"taken_at": "2026-11-24T12:00:00"},
        ),
        (["-IFD0:Make#=Acme\tInc.\x1b[2J\x07"], {"camera_make": "Acme Inc. [2J"}),
        (["-IFD0:Make#=\u202eemcA\u2066"], {"camera_make": "emcA"}),
        (["-IFD0:Software#=" + "x" * 10_000], {"software": "x" * MAX_TEXT}),
        (["-ExifIFD:ISO#=100 200"], {"iso": 100}),
        (["-ExifIFD:ExposureTime#=undef", "-ExifIFD:FNumber#=inf"], {}),
    ],
)
async def test_what_a_tag_may_hold_is_made_harmless(
    renderer: Renderer, options: list[str], found: Metadata
) -> None:
    content = tagged("jpeg", *options)
    assert await extract(renderer, content) == found | {"orientation": 1}


@pytest.mark.parametrize("name", HOSTILE)
async def test_hostile_exif_says_nothing_and_hinders_no_rendering(
    renderer: Renderer, name: str
) -> None:
    exif = HOSTILE[name]
    files = [samples.png_with(samples.chunk(b"eXIf", exif))]
    if len(exif) < 65_000:
        files.append(samples.jpeg_with(samples.segment(0xE1, b"Exif\0\0" + exif)))
    files.append(webp_with(exif))
    for content in files:
        try:
            found = await extract(renderer, content)
        except Unrenderable:
            found = {}
        assert not found.keys() - {"orientation"}
        assert (await render(renderer, content)).thumbnails
