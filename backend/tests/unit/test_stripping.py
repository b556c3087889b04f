"""What is left of images without what their files said beyond them, whatever their type."""

from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import pairwise
from typing import Any

import pytest
import pyvips  # type: ignore[import-untyped]
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms

from app.imaging.formats import WALKS, ImageType, detect
from app.imaging.header import UPRIGHT, Header
from app.imaging.inspection import Facts, Inspection
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from app.imaging.walker import Walker
from testkit import format_samples, orientations, samples
from testkit.exiftool import PROFILE_GROUPS, beyond_the_image, read_tags, with_tags
from testkit.format_samples.private import SECRET
from testkit.forms import split
from testkit.programs import needs_exiftool
from testkit.secretive import SECRETIVE
from testkit.stripping import strip

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Pillow's, of damaged Exif

KINDS = {name: content for name, (content, _) in samples.of_every_kind().items()}
ORIENTATIONS = orientations.TURNED | orientations.UPRIGHT
SAMPLES = {
    sample.name: sample.content
    for sample in format_samples.all_samples().values()
    if sample.image_type in STRIPPERS
}
IMAGES = KINDS | ORIENTATIONS | SAMPLES | SECRETIVE
ORIENTATION = "IFD0:Orientation"
OPTIONS = (
    "-EXIF:Make=SECRET maker",
    "-EXIF:SerialNumber=SECRET number",
    "-EXIF:Orientation#=6",
    "-EXIF:UserComment=SECRET comment",
    "-EXIF:XPTitle=SECRET title",
    "-EXIF:DateTimeOriginal=2026:01:02 03:04:05",
    "-GPSLatitude=52.5163",
    "-GPSLongitude=13.3777",
    "-XMP:Creator=SECRET creator",
    "-XMP:GPSLatitude=52.5163",
    "-IPTC:City=SECRET city",
    "-Comment=SECRET comment",
    "-Ducky:Comment=SECRET comment",
    "-PNG:Author=SECRET author",
    "-PNG:ModifyDate=2026:01:02 03:04:05",
    "-JFIF:XResolution=300",
    "-PNG:PixelsPerUnitX=2835",
)
"""Tags of every group that exiftool can write."""


@cache
def profile() -> bytes:
    return bytes(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())


@cache
def images_with_tags() -> dict[str, bytes]:
    sources = {
        "tags.jpg": samples.jpeg(icc_profile=profile()),
        "tags-progressive.jpg": samples.jpeg(progressive=True, icc_profile=profile() * 200),
        "tags.png": samples.png(icc_profile=profile()),
        "tags-animated.png": KINDS["animated.png"],
    }
    return {name: with_tags(content, *OPTIONS) for name, content in sources.items()}


def pixels(content: bytes) -> list[Any]:
    """Decode all frames by Pillow, with what it knows of their colours."""
    found: list[Any] = []
    try:
        with Image.open(BytesIO(content)) as image:
            found += [image.info.get(name) for name in ("icc_profile", "transparency", "loop")]
            other_images = image.format == "MPO"
            for frame in range(1 if other_images else getattr(image, "n_frames", 1)):
                image.seek(frame)
                found.append((image.mode, image.size, image.info.get("duration"), image.tobytes()))
    except OSError as error:
        found.append(str(error))
    return found


def pixels_by_vips(content: bytes) -> list[Any]:
    try:
        image = pyvips.Image.new_from_buffer(content, "", fail_on="none")
        has_profile = "icc-profile-data" in image.get_fields()
        return [
            (image.width, image.height, image.bands, image.format, image.interpretation),
            image.get("icc-profile-data") if has_profile else None,
            image.write_to_memory(),
        ]
    except pyvips.Error:
        return []


def type_of(content: bytes) -> ImageType:
    image_type = detect(content)
    assert image_type
    return image_type


def orientation(content: bytes) -> int:
    """Return the one that browsers follow; of WebP, whose they ignore, what others may follow."""
    if type_of(content) is ImageType.WEBP:
        return orientation_by_pillow(content)
    header = Header()
    Walker(WALKS[type_of(content)](header)).feed(memoryview(content))
    return header.orientation or UPRIGHT


def orientation_by_pillow(content: bytes) -> int:
    try:
        with Image.open(BytesIO(content)) as image:
            return int(image.getexif().get(orientations.ORIENTATION, UPRIGHT))
    except OSError:
        return UPRIGHT


def facts(content: bytes) -> Facts:
    inspection = Inspection(type_of(content), everywhere=True)
    inspection.feed(content)
    return inspection.facts()


@needs_exiftool
def test_exiftool_finds_nothing_but_the_orientation() -> None:
    images = {name + type_of(content).extension: content for name, content in IMAGES.items()}
    images |= images_with_tags()
    before = read_tags(images)
    after = read_tags({name: strip(content) for name, content in images.items()})
    assert after.keys() == images.keys()
    for name, tags in after.items():
        found = beyond_the_image(tags)
        for complaint in ("ExifTool:Warning", "ExifTool:Error"):
            if tags.get(complaint) == before[name].get(complaint):
                found.discard(complaint)  # about a colour profile, or a missing end
        assert found <= {ORIENTATION}, (name, tags)
        assert tags.get(ORIENTATION, UPRIGHT) == orientation(images[name]), name
        profile_before = {t: v for t, v in before[name].items() if t.startswith(PROFILE_GROUPS)}
        assert profile_before.items() <= tags.items(), name


@needs_exiftool
def test_what_exiftool_writes_is_removed_and_the_image_stays() -> None:
    for name, content in images_with_tags().items():
        assert len(beyond_the_image(read_tags({name: content})[name])) > 20
        stripped = strip(content)
        assert SECRET[:6] not in stripped
        assert pixels(stripped) == pixels(content)
        assert pixels_by_vips(stripped) == pixels_by_vips(content)
        assert orientation(stripped) == 6
        assert strip(stripped) == stripped


@pytest.mark.parametrize("name", [name for name in IMAGES if SECRET[:6] in IMAGES[name]])
def test_no_secret_passes(name: str) -> None:
    assert SECRET[:6] not in strip(IMAGES[name])


def test_there_are_secrets_to_remove() -> None:
    assert len(IMAGES) == len(KINDS) + len(ORIENTATIONS) + len(SAMPLES) + len(SECRETIVE)
    for name, content in SECRETIVE.items():
        assert SECRET[:6] in content, name
    assert sum(SECRET in content for content in SAMPLES.values()) >= 7


@pytest.mark.parametrize("name", IMAGES)
def test_the_pixels_and_the_colour_profile_are_the_same(name: str) -> None:
    content = IMAGES[name]
    stripped = strip(content)
    assert pixels(stripped) == pixels(content)
    assert pixels_by_vips(stripped) == pixels_by_vips(content)
    assert pixels_by_vips(content) or name == "webp truncated"


@pytest.mark.parametrize("name", IMAGES)
async def test_dimensions_orientation_and_truncation_are_as_before(name: str) -> None:
    content = IMAGES[name]
    stripped = strip(content)
    assert orientation(stripped) == orientation(content)
    assert facts(stripped) == facts(content)
    if name.endswith("truncated"):
        return  # Pillow reads all of a file for its Exif
    assert orientation_by_pillow(stripped) == orientation(content)


@pytest.mark.parametrize("name", IMAGES)
def test_what_was_stripped_has_nothing_left_to_strip(name: str) -> None:
    stripped = strip(IMAGES[name])
    assert strip(stripped) == stripped


@pytest.mark.parametrize("name", IMAGES)
def test_pieces_of_any_size_give_the_same_file(name: str) -> None:
    content = IMAGES[name]
    for piece in (1, 2, 3, 1000):
        assert strip(content, split(content, piece)) == strip(content)


@pytest.mark.parametrize("name", ["baseline.jpg", "plain.png", "JPEG, between scans"])
def test_a_truncated_image_is_passed_on_as_far_as_it_came(name: str) -> None:
    whole = strip(IMAGES[name])
    lengths: list[int] = []
    for end in range(8, len(IMAGES[name])):
        try:
            stripped = strip(IMAGES[name][:end])
        except Unstrippable as error:
            assert str(error) == "It ends before its pixels begin."  # noqa: PT017
            assert not lengths
            continue
        assert whole.startswith(stripped)
        assert strip(stripped) == stripped
        lengths.append(len(stripped))
    assert len(whole) - lengths[-1] <= 12


def pieces(content: bytes, cuts: list[int]) -> Iterator[bytes]:
    places = [0, *sorted(cut % len(content) for cut in cuts), len(content)]
    for start, end in pairwise(places):
        yield content[start:end]


def outcome(content: bytes, cuts: list[int]) -> bytes | str:
    try:
        return strip(content, pieces(content, cuts))
    except Unstrippable as error:
        return str(error)


CUTS = st.lists(st.integers(0, 2**20), max_size=20)
CHANGES = st.lists(st.tuples(st.integers(0, 2**20), st.binary(max_size=4)), max_size=8)


@given(name=st.sampled_from(sorted(IMAGES)), changes=CHANGES, cuts=CUTS)
def test_a_damaged_file_is_stripped_or_refused_however_it_is_cut(
    name: str, changes: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    damaged = bytearray(IMAGES[name])
    for place, change in changes:
        start = 16 + place % (len(damaged) - 16)
        damaged[start : start + len(change)] = change
    stripped = outcome(bytes(damaged), [])
    assert outcome(bytes(damaged), cuts) == stripped
    if isinstance(stripped, bytes):
        assert strip(stripped) == stripped
