"""What the service does with each format and each trait of it, against what others make of them."""

from typing import Final

import pytest

from app.imaging.formats import HEAD_BYTES, ImageType, detect
from app.imaging.inspection import Inspection
from testkit.exiftool import PROFILE_GROUPS, beyond_the_image, read_tags
from testkit.format_samples import all_samples
from testkit.format_samples.private import SECRET
from testkit.format_samples.refused import all_refused
from testkit.format_samples.sample import Sample
from testkit.format_table import table
from testkit.format_table.decoding import all_frames, by_pillow, by_vips, looks_like
from testkit.format_table.outcome import facts_of, outcomes
from testkit.programs import needs_exiftool
from testkit.stripping import strip

SAMPLES: Final = all_samples()
WHOLE: Final = {name: one for name, one in SAMPLES.items() if one.trait != "truncated"}
STRIPPED: Final = {
    name: sample
    for name, sample in SAMPLES.items()
    if sample.image_type not in {ImageType.AVIF, ImageType.HEIC}
}
RENDERED_TRUNCATED: Final = {ImageType.JPEG, ImageType.PNG, ImageType.GIF}
NOT_BY_VIPS: Final = {"avif animation sequence"}
"""Its brand is not known to libvips."""
NOT_BY_EXIFTOOL: Final = "small"
"""The trait of files that crop their image, which exiftool does not follow."""
TURNED: Final = {5, 6, 7, 8}
"""Orientations with which width and height are exchanged."""

of_each = pytest.mark.parametrize("name", SAMPLES)
of_each_whole = pytest.mark.parametrize("name", WHOLE)
of_each_stripped = pytest.mark.parametrize("name", STRIPPED)


@of_each
def test_a_file_has_the_type_of_its_bytes_and_the_dimensions_that_viewers_show(name: str) -> None:
    outcome, sample = outcomes()[name], SAMPLES[name]
    assert outcome.image_type is sample.image_type
    assert outcome.facts[:2] == sample.size


@of_each
def test_a_file_is_truncated_where_its_image_is(name: str) -> None:
    assert outcomes()[name].facts.truncated is (SAMPLES[name].trait == "truncated")


@of_each_whole
def test_dimensions_and_thumbnails_are_those_of_pillow(name: str) -> None:
    outcome, shown = outcomes()[name], by_pillow(SAMPLES[name].content)
    assert outcome.facts[:2] == shown.size
    assert outcome.rendition
    assert table.thumbnails_look_like(outcome.rendition, shown)


@pytest.mark.parametrize(
    "name",
    [name for name in WHOLE if not name.startswith("heic") and name not in NOT_BY_VIPS],
)
def test_dimensions_and_colours_are_those_of_libvips(name: str) -> None:
    content = SAMPLES[name].content
    shown = by_vips(content)
    assert outcomes()[name].facts[:2] == shown.size
    assert looks_like(by_pillow(content), shown)


@needs_exiftool
def test_type_and_dimensions_are_those_of_exiftool() -> None:
    samples = [sample for sample in WHOLE.values() if sample.trait != NOT_BY_EXIFTOOL]
    tags = read_tags({sample.filename: sample.content for sample in samples})
    for sample in samples:
        found = tags[sample.filename]
        assert _type_by_exiftool(found) == sample.image_type, sample.name
        assert _sides_by_exiftool(sample, found) == sample.size, (sample.name, found)


def test_a_truncated_image_is_rendered_as_far_as_its_decoder_can() -> None:
    truncated = [sample for sample in SAMPLES.values() if sample.trait == "truncated"]
    for sample in truncated:
        outcome = outcomes()[sample.name]
        assert bool(outcome.rendition) is (sample.image_type in RENDERED_TRUNCATED)
        assert outcome.rendition or outcome.unrenderable


@of_each_stripped
def test_a_stripped_file_has_no_metadata_and_all_its_pixels(name: str) -> None:
    content, stripped = SAMPLES[name].content, outcomes()[name].stripped
    assert stripped is not None
    assert SECRET not in stripped
    if name in WHOLE:
        assert all_frames(stripped) == all_frames(content)
    assert strip(stripped) == stripped


@of_each_stripped
async def test_a_stripped_file_has_the_same_type_dimensions_and_end(name: str) -> None:
    outcome, image_type = outcomes()[name], SAMPLES[name].image_type
    assert outcome.stripped is not None
    assert detect(outcome.stripped[:HEAD_BYTES]) is image_type
    assert facts_of(outcome.stripped, image_type) == outcome.facts


@needs_exiftool
def test_exiftool_finds_the_image_alone_in_stripped_files() -> None:
    whole = [sample for name, sample in STRIPPED.items() if name in WHOLE]
    before = read_tags({sample.filename: sample.content for sample in whole})
    after = read_tags({one.filename: outcomes()[one.name].stripped or b"" for one in whole})
    for sample in whole:
        found = after[sample.filename]
        assert beyond_the_image(found) <= {"IFD0:Orientation"}, (sample.name, found)
        turned = before[sample.filename].get("IFD0:Orientation", 1)
        assert found.get("IFD0:Orientation", 1) == turned
        profile = {
            tag: value
            for tag, value in before[sample.filename].items()
            if tag.startswith(PROFILE_GROUPS)
        }
        assert profile.items() <= found.items()
        assert bool(profile) is (sample.trait == "colour profile")


@pytest.mark.parametrize("name", all_refused())
def test_what_is_no_image_of_the_six_types_is_refused(name: str) -> None:
    content = all_refused()[name]
    image_type = detect(content[:HEAD_BYTES])
    if image_type:
        inspection = Inspection(image_type)
        inspection.feed(content)
        assert not inspection.is_image


def test_the_tables_in_the_documents_are_what_happens() -> None:
    """`python -m testkit.format_table.table` writes them."""
    assert table.WRONG not in table.tables()
    assert table.document() == table.DOCUMENT.read_text()


def _type_by_exiftool(tags: dict[str, object]) -> object:
    """Return the media type; exiftool takes sequences and 10 bits for types of their own."""
    found = tags["File:MIMEType"]
    others = {"image/apng": "image/png", "image/heif": "image/heic", "video/mp4": "image/avif"}
    return others.get(str(found), found)


def _sides_by_exiftool(sample: Sample, tags: dict[str, object]) -> tuple[object, object]:
    """Return width and height as they are shown; exiftool says how they are stored."""
    sides = next(
        (tags[f"{group}:ImageWidth"], tags[f"{group}:ImageHeight"])
        for group in ("File", "PNG", "GIF", "RIFF")
        if f"{group}:ImageWidth" in tags
    )
    is_heif = sample.image_type in {ImageType.AVIF, ImageType.HEIC}
    if sample.image_type is ImageType.WEBP:
        return sides
    if is_heif:
        return sides[::-1] if tags.get("QuickTime:Rotation") in {90, 270} else sides
    return sides[::-1] if tags.get("IFD0:Orientation") in TURNED else sides
