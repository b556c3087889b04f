"""AVIF and HEIC: which files are images, how large they are shown, and where they end."""

import struct
import tracemalloc
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from typing import NamedTuple

import pillow_heif
import pytest
from PIL import ExifTags, Image, ImageOps

from app.imaging.fields import MAX_ITEMS
from app.imaging.formats import ImageType, detect
from app.imaging.inspection import Inspection
from app.imaging.items import MAX_TABLE_BYTES
from app.imaging.walker import MAX_STEPS
from testkit.format_samples import heif, isobmff, picture
from testkit.format_samples.isobmff import full_box
from testkit.format_samples.private import box, film
from testkit.forms import split
from testkit.unusual_headers import CROPPING, CROPPING_NOTHING, TURNING, with_properties

AVIF, HEIC = ImageType.AVIF, ImageType.HEIC
PIXELS = b"\xff" * 1000


class Outcome(NamedTuple):
    is_image: bool
    size: tuple[int, int] | None
    orientation: int | None
    truncated: bool | None


def look(content: bytes, image_type: ImageType = HEIC, piece: int = 1 << 20) -> Outcome:
    inspection = Inspection(image_type)
    for data in split(content, piece):
        inspection.feed(data)
    size = inspection.dimensions()
    orientation = inspection._header.orientation
    return Outcome(inspection.is_image, size, orientation, inspection.truncated)


WHOLE = Outcome(is_image=True, size=(40, 30), orientation=1, truncated=False)
NO_IMAGE = Outcome(is_image=False, size=None, orientation=None, truncated=None)


@dataclass(frozen=True)
class File:
    """The boxes of a file with one item, each of which a test may replace."""

    ftyp: bytes = box(b"ftyp", b"heic" + bytes(4) + b"mif1heic")
    hdlr: bytes = full_box(b"hdlr", bytes(4) + b"pict" + bytes(13))
    pitm: bytes = full_box(b"pitm", b"\0\1")
    entries: tuple[bytes, ...] = (full_box(b"infe", b"\0\1\0\0hvc1\0", version=2),)
    iinf: bytes | None = None
    properties: tuple[bytes, ...] = (isobmff.extent(40, 30),)
    ipma: bytes = full_box(b"ipma", b"\0\0\0\1" + b"\0\1" + b"\1\x81")
    iloc: bytes | None = None
    after_ftyp: bytes = b""
    mdat: bytes = box(b"mdat", PIXELS)
    mdat_first: bool = False
    more: bytes = b""

    def meta(self, begin: int) -> bytes:
        iinf = self.iinf or full_box(
            b"iinf", struct.pack(">H", len(self.entries)) + b"".join(self.entries)
        )
        place = struct.pack(">HHHHII", 1, 1, 0, 1, begin, len(PIXELS))
        iloc = self.iloc or full_box(b"iloc", b"\x44\0" + place)
        iprp = box(b"iprp", box(b"ipco", b"".join(self.properties)) + self.ipma)
        return full_box(b"meta", self.hdlr + self.pitm + iloc + iinf + iprp + self.more)

    def write(self) -> bytes:
        head = self.ftyp + self.after_ftyp
        skip = len(self.mdat) - len(PIXELS)
        if self.mdat_first:
            return head + self.mdat + self.meta(len(head) + skip)
        begin = len(head) + len(self.meta(0)) + skip
        return head + self.meta(begin) + self.mdat


def associations(*indexes: int) -> bytes:
    return full_box(b"ipma", b"\0\0\0\1\0\1" + bytes((len(indexes), *indexes)))


def entry(number: int, kind: bytes) -> bytes:
    return full_box(b"infe", struct.pack(">HH", number, 0) + kind + b"\0", version=2)


def long_box(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I4sQ", 1, kind, 16 + len(data)) + data


FAR = 5_000_000_000
VARIANTS = {
    "plain": File(),
    "free space first": File(after_ftyp=box(b"free", bytes(77)) + box(b"skip", b"")),
    "pixels first": File(mdat_first=True),
    "free space and pixels first": File(mdat_first=True, after_ftyp=box(b"free", bytes(400))),
    "64-bit sizes": File(
        mdat=long_box(b"mdat", PIXELS), after_ftyp=long_box(b"uuid", bytes(16)), mdat_first=True
    ),
    "pixels to the end": File(mdat=b"\0\0\0\0mdat" + PIXELS),
    "version 1 of the primary": File(pitm=full_box(b"pitm", b"\0\0\0\1", version=1)),
    "version 3 of the entry": File(
        entries=(full_box(b"infe", b"\0\0\0\1\0\0hvc1\0", version=3),),
    ),
    "version 1 of the entries": File(
        iinf=full_box(b"iinf", b"\0\0\0\1" + entry(1, b"hvc1"), version=1)
    ),
    "an entry of version 0": File(
        entries=(full_box(b"infe", b"\0\2\0\0name\0text/plain\0\0", version=0), entry(1, b"hvc1"))
    ),
    "15-bit indexes": File(
        ipma=full_box(b"ipma", b"\0\0\0\1\0\1\1\x80\x01", flags=1),
    ),
    "version 1 of the associations": File(
        ipma=full_box(b"ipma", b"\0\0\0\1\0\0\0\1\1\x81", version=1),
    ),
    "other items' associations first": File(
        ipma=full_box(b"ipma", b"\0\0\0\2" + b"\0\2\2\1\1" + b"\0\1\1\x82"),
        properties=(isobmff.extent(7, 7), isobmff.extent(40, 30)),
    ),
    "two tables of associations": File(
        ipma=full_box(b"ipma", b"\0\0\0\1\0\7\1\1") + associations(0x81),
    ),
    "a table of associations before the properties": File(
        more=box(b"free", b""),
        ipma=associations(0x81),
    ),
    "unknown properties": File(
        properties=(box(b"colr", bytes(9999)), box(b"hvcC", b""), isobmff.extent(40, 30)),
        ipma=associations(1, 0x82, 0x83, 0, 99),
    ),
    "places of version 1": File(
        mdat_first=True,
        iloc=full_box(
            b"iloc",
            b"\x44\x44\0\1" + struct.pack(">HHHIHIII", 1, 0, 0, 32, 1, 9, 8, 1000),
            version=1,
        ),
    ),
    "places of version 2": File(
        mdat_first=True,
        iloc=full_box(
            b"iloc",
            b"\x44\0\0\0\0\1" + struct.pack(">IHHHII", 1, 0, 0, 1, 40, 1000),
            version=2,
        ),
    ),
    "places of 64 bits": File(
        mdat_first=True,
        iloc=full_box(b"iloc", b"\x88\x80\0\1" + struct.pack(">HHQHQQ", 1, 0, 30, 1, 10, 1000)),
    ),
    "pixels within the metadata": File(
        iloc=full_box(
            b"iloc", b"\x44\0\0\1" + struct.pack(">HHHHII", 1, 1, 0, 1, FAR >> 8, 9), version=1
        ),
        more=box(b"idat", PIXELS),
    ),
    "pixels in another file": File(
        iloc=full_box(b"iloc", b"\x44\0\0\1" + struct.pack(">HHHII", 1, 1, 1, FAR >> 8, 9))
    ),
    "a second list of items, which is ignored": File(
        mdat=box(b"mdat", PIXELS) + full_box(b"meta", b"")
    ),
}


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_an_image_is_found_however_its_boxes_are_written(name: str, piece: int) -> None:
    assert look(VARIANTS[name].write(), piece=piece) == WHOLE


def test_a_list_of_items_without_a_length_ends_with_the_file() -> None:
    content = bytearray(File(mdat_first=True).write())
    meta = content.index(b"meta")
    content[meta - 4 : meta] = bytes(4)
    assert look(bytes(content)) == WHOLE


GRID = (entry(1, b"grid"), entry(2, b"hvc1"))
IMAGES = {
    "AVIF": (File(entries=(entry(1, b"av01"),)), AVIF),
    "a grid": (File(entries=GRID), HEIC),
    "an overlay": (File(entries=(entry(1, b"iovl"), entry(2, b"hvc1"))), HEIC),
    "another item turned": (File(entries=(entry(1, b"iden"), entry(2, b"hvc1"))), HEIC),
    "a tone map": (File(entries=(entry(1, b"tmap"), entry(2, b"av01"))), AVIF),
}


@pytest.mark.parametrize("case", IMAGES)
def test_coded_and_derived_items_are_images(case: str) -> None:
    file, image_type = IMAGES[case]
    assert look(file.write(), image_type) == WHOLE


def test_a_tone_map_beside_the_primary_item_changes_nothing() -> None:
    file = File(entries=(entry(1, b"hvc1"), entry(2, b"hvc1"), entry(3, b"tmap")))
    assert look(file.write()) == WHOLE


FTYP = File().ftyp
REFUSED = {
    "its first box alone": FTYP,
    "nothing but free space": FTYP + box(b"free", bytes(100)) * 9,
    "a film": FTYP + film(),
    "pixels without metadata": FTYP + box(b"mdat", PIXELS),
    "pixels to the end without metadata": FTYP + b"\0\0\0\0mdat" + PIXELS,
    "metadata without anything": FTYP + full_box(b"meta", b"") + box(b"mdat", PIXELS),
    "metadata shorter than its head": FTYP + box(b"meta", b""),
    "metadata that end early": File().write()[:200],
    "another handler": File(hdlr=full_box(b"hdlr", bytes(4) + b"mdir" + bytes(13))).write(),
    "no handler": File(hdlr=b"").write(),
    "no primary item": File(pitm=b"").write(),
    "a primary item without entry": File(pitm=full_box(b"pitm", b"\0\2")).write(),
    "an item of text": File(entries=(entry(1, b"mime"),)).write(),
    "an item of Exif": File(entries=(entry(1, b"Exif"), entry(2, b"hvc1"))).write(),
    "an item coded as a JPEG": File(entries=(entry(1, b"jpeg"),)).write(),
    "an item of AVC": File(entries=(entry(1, b"avc1"),)).write(),
    "an item of AV1, in a file of HEVC": File(entries=(entry(1, b"av01"),)).write(),
    "a grid of nothing": File(entries=(entry(1, b"grid"),)).write(),
    "no places": File(iloc=box(b"free", b"")).write(),
    "a box longer than what it is in": File(hdlr=b"\0\0\xff\xffaaaa").write(),
    "a box shorter than its head": File(more=b"\0\0\0\7aaaa", pitm=b"").write(),
    "an entry longer than the list": File(iinf=full_box(b"iinf", b"\0\1\0\0\xff\xffinfe")).write(),
    "an entry without a length": File(iinf=full_box(b"iinf", b"\0\1" + bytes(8))).write(),
    "tables that are too long": File(
        iinf=full_box(b"iinf", b"\0\1" + entry(1, b"hvc1") * (MAX_TABLE_BYTES // 21))
    ).write(),
    "too many items": File(
        iinf=full_box(b"iinf", struct.pack(">H", MAX_ITEMS + 1) + entry(1, b"hvc1"))
    ).write(),
    "more items than there are": File(iinf=full_box(b"iinf", b"\0\2" + entry(1, b"hvc1"))).write(),
    "too many places": File(
        iloc=full_box(b"iloc", b"\0\0" + struct.pack(">H", MAX_ITEMS + 1) + bytes(6 * MAX_ITEMS))
    ).write(),
    "too many associations": File(
        ipma=full_box(b"ipma", struct.pack(">I", MAX_ITEMS + 1) + b"\0\2\0" * (MAX_ITEMS + 1))
    ).write(),
    "offsets of one byte": File(
        iloc=full_box(b"iloc", b"\x14\0\0\1" + struct.pack(">HHHBI", 1, 0, 1, 0, 9))
    ).write(),
    "too many boxes before": File(after_ftyp=box(b"free", b"") * MAX_STEPS).write(),
    "too many properties": File(properties=(box(b"free", b""),) * MAX_STEPS).write(),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("piece", [1, 1 << 20])
def test_a_file_without_an_image_of_its_type_is_none(case: str, piece: int) -> None:
    outcome = look(REFUSED[case], piece=piece)
    assert not outcome.is_image
    assert outcome.size is None


def corners(image: Image.Image) -> list[int]:
    """Return which quadrant of the picture each one shows."""

    def distance(seen: tuple[int, ...], number: int) -> int:
        return sum(abs(a - b) for a, b in zip(seen, picture.QUADRANTS[number], strict=False))

    return [min(range(4), key=partial(distance, seen)) for seen in picture.quadrants(image)]


def as_turned(orientation: int | None) -> Image.Image:
    image = picture.upright().copy()
    image.getexif()[ExifTags.Base.Orientation] = orientation or 1
    return ImageOps.exif_transpose(image)


@pytest.mark.parametrize("name", TURNING)
def test_heic_is_turned_as_by_libheif(name: str) -> None:
    content = with_properties(heif.heic(picture.upright()), *TURNING[name])
    shown = pillow_heif.open_heif(content).to_pillow()
    outcome = look(content)
    assert outcome.size == shown.size
    assert corners(as_turned(outcome.orientation)) == corners(shown)


@pytest.mark.parametrize("name", CROPPING)
def test_heic_is_cropped_as_by_libheif(name: str) -> None:
    content = with_properties(heif.heic(picture.upright()), *CROPPING[name])
    assert look(content).size == pillow_heif.open_heif(content).to_pillow().size


@pytest.mark.parametrize("name", TURNING)
def test_avif_is_turned_as_by_libavif(name: str) -> None:
    content = with_properties(heif.avif(picture.upright()), *TURNING[name])
    with Image.open(BytesIO(content)) as image:
        shown = ImageOps.exif_transpose(image)
    outcome = look(content, AVIF)
    assert outcome.size == shown.size
    assert corners(as_turned(outcome.orientation)) == corners(shown)


def test_avif_is_cropped_to_its_corner_alone() -> None:
    """As by Chromium, which `e2e/test_orientation.py` asks."""
    for name, boxes in CROPPING.items():
        outcome = look(with_properties(heif.avif(picture.upright()), *boxes), AVIF)
        sides = (80, 60) if "corner" in name else picture.SIZE
        assert outcome.size == (sides[::-1] if "turned" in name else sides)


def test_an_impossible_aperture_crops_nothing() -> None:
    for nothing in CROPPING_NOTHING:
        content = with_properties(heif.heic(picture.upright()), nothing)
        assert look(content).size == picture.SIZE


@pytest.mark.parametrize("size", [(1, 1), (63, 65), (64, 64), (100, 3), (257, 129)])
@pytest.mark.parametrize("image_type", [AVIF, HEIC])
def test_sizes_are_those_that_their_decoder_has(
    image_type: ImageType, size: tuple[int, int]
) -> None:
    content = heif.ENCODERS[image_type](picture.upright().resize(size))
    assert detect(content) is image_type
    assert look(content, image_type) == Outcome(
        is_image=True, size=size, orientation=1, truncated=False
    )


@pytest.mark.parametrize("size", [(0, 30), (40, 0), (2**31, 1), (2**17, 2**17)])
def test_a_size_that_no_image_has_is_unknown(size: tuple[int, int]) -> None:
    file = File(properties=(isobmff.extent(*size),))
    assert look(file.write()) == WHOLE._replace(size=None)


def test_an_image_without_a_size_has_none() -> None:
    for file in (File(ipma=associations()), File(properties=()), File(ipma=associations(0x82))):
        assert look(file.write()).size is None
        assert look(file.write()).is_image


ENDS = ["plain", "pixels first", "64-bit sizes", "pixels to the end", "free space first"]


@pytest.mark.parametrize("name", ENDS)
def test_an_image_is_truncated_if_its_pixels_are(name: str) -> None:
    content = VARIANTS[name].write()
    assert look(content[:-1]).truncated is True
    assert look(content + b"more").truncated is False
    assert look(content + box(b"mpvd", film())).truncated is False


def test_the_pixels_of_a_sequence_belong_to_the_image() -> None:
    """They follow those of the primary item, in the same box."""

    def file(begin: int) -> File:
        place = struct.pack(">HHHII", 1, 0, 1, begin, len(PIXELS))
        iloc = full_box(b"iloc", b"\x44\0\0\1" + place)
        return File(iloc=iloc, mdat=box(b"mdat", PIXELS + bytes(500)))

    content = file(len(file(0).write()) - len(PIXELS) - 500).write()
    assert look(content).truncated is False
    assert look(content[:-1]).truncated is True


def test_of_tables_of_associations_four_are_read() -> None:
    others = full_box(b"ipma", b"\0\0\0\1\0\2\0")
    assert look(File(ipma=others * 3 + associations(1)).write()) == WHOLE
    assert look(File(ipma=others * 4 + associations(1)).write()) == WHOLE._replace(size=None)


def test_pixels_that_lie_behind_every_box_are_missing() -> None:
    place = struct.pack(">HHHII", 1, 0, 1, 1 << 31, 9)
    content = File(iloc=full_box(b"iloc", b"\x44\0\0\1" + place)).write()
    assert look(content).truncated is True


def test_what_follows_the_pixels_of_an_unknown_order_is_unknown() -> None:
    place = struct.pack(">HHHII", 1, 0, 1, 5000, 9)
    content = File(iloc=full_box(b"iloc", b"\x44\0\0\1" + place)).write() + b"\0\0\0\1xxxx"
    assert look(content + bytes(8)) == WHOLE._replace(truncated=None)


HOSTILE = {
    "entries": File(
        iinf=full_box(b"iinf", struct.pack(">H", MAX_ITEMS) + entry(1, b"hvc1") * MAX_ITEMS)
    ),
    "associations": File(
        ipma=full_box(b"ipma", struct.pack(">I", MAX_ITEMS) + b"\0\2\0" * MAX_ITEMS) * 10
    ),
    "extents without a length": File(
        iloc=full_box(
            b"iloc",
            struct.pack(">HH", 0, MAX_ITEMS) + struct.pack(">HHH", 1, 0, 65_535) * MAX_ITEMS,
        )
    ),
    "extents": File(
        iloc=full_box(b"iloc", b"\x40\0\0\1" + struct.pack(">HHH", 1, 0, 30_000) + bytes(120_000))
    ),
    "properties": File(properties=(isobmff.extent(40, 30), *[box(b"irot", b"\1")] * 4000)),
    "boxes within boxes": File(more=box(b"iprp", box(b"ipco", b"")) * 800, pitm=b""),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_steps_and_memory_are_bounded(case: str) -> None:
    content = HOSTILE[case].write()
    look(File().write())
    tracemalloc.start()
    try:
        inspection = Inspection(HEIC)
        for data in split(content, 10_000):
            inspection.feed(data)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 2_000_000
    assert inspection._walker._steps_left >= 0
