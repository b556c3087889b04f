"""What is particular to stripping WebP."""

from io import BytesIO

import pytest
from PIL import Image

from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from app.imaging.stripping.webp import BLANK_BYTES, MAX_EXIF_BYTES
from testkit.format_samples import named
from testkit.format_samples import webp as webps
from testkit.format_samples.private import SECRET, exif
from testkit.forms import split
from testkit.orientations import ORIENTATION, SHORT, tiff
from testkit.secretive import SECRETIVE, UNREADABLE
from testkit.secretive.webps import (
    ALPHA,
    ANIMATION,
    EXIF,
    PROFILE,
    XMP,
    webp,
    webp_chunks,
    webp_header,
)
from testkit.stripping import strip

[IMAGE] = webp_chunks(webps.encoded())
HEADER = webp_header(EXIF)
SIX = tiff((ORIENTATION, SHORT, 1, 6))


def exif_of(content: bytes) -> bytes:
    return dict(webp_chunks(content))[b"EXIF"]


@pytest.mark.parametrize("name", ["webp metadata", "webp metadata and an unknown chunk"])
def test_the_length_stays_that_the_file_declares(name: str) -> None:
    content = named(name).content
    stripped = strip(content)
    assert len(stripped) == len(content)
    assert stripped[:12] == content[:12]
    lengths = [len(data) for _, data in webp_chunks(content)]
    assert [len(data) for _, data in webp_chunks(stripped)] == lengths
    names = [b"VP8X", b"VP8 ", b"EXIF"] + [b"JUNK"] * (len(lengths) - 3)
    assert [name for name, _ in webp_chunks(stripped)] == names


def test_what_is_dropped_becomes_a_chunk_of_zeros() -> None:
    content = webp(HEADER, IMAGE, (b"XMP ", SECRET), (b"SECR", SECRET))
    zeros = bytes(len(SECRET))
    assert list(webp_chunks(strip(content)))[2:] == [(b"JUNK", zeros), (b"JUNK", zeros)]


def test_the_header_announces_what_stays_and_has_no_other_bits() -> None:
    flags = PROFILE | ALPHA | EXIF | XMP | ANIMATION
    for unknown in (0, 0xC1):
        name, header = webp_header(flags | unknown)
        content = webp((name, header[:1] + b"\xab\xcd\xef" + header[4:]), (b"ANMF", bytes(16)))
        expected = bytes((PROFILE | ALPHA | EXIF | ANIMATION, 0, 0, 0)) + header[4:]
        assert dict(webp_chunks(strip(content)))[b"VP8X"] == expected


def test_the_byte_that_pads_a_chunk_is_zero() -> None:
    [image] = webp_chunks(webps.encoded())
    content = webp((image[0], image[1][:-1]), (b"SECR", b"odd"))
    padded = content.replace(b"odd\0", b"oddX").replace(image[1][:-1] + b"\0", image[1][:-1] + b"X")
    assert len(image[1]) % 2 == 0
    assert padded != content
    assert strip(padded) == strip(content)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name_in_a_jpeg", [b"", b"Exif\0\0"])
def test_exif_becomes_its_orientation_and_zeros(orientation: int, name_in_a_jpeg: bytes) -> None:
    """Readers disagree on what follows the name, so it stays as it was."""
    data = name_in_a_jpeg + exif(orientation).removeprefix(b"Exif\0\0")
    stripped = strip(webp(HEADER, IMAGE, (b"EXIF", data)))
    left = exif_of(stripped)
    assert len(left) == len(data)
    assert left == name_in_a_jpeg + tiff((ORIENTATION, SHORT, 1, orientation)) + bytes(
        len(data) - len(name_in_a_jpeg) - 26
    )
    with Image.open(BytesIO(stripped)) as image:
        assert dict(image.getexif()) == {ORIENTATION: orientation}


@pytest.mark.parametrize("length", [0, 1, 6, 8, 10, 21, 22, 25, 26])
def test_exif_that_is_too_short_for_an_orientation_stays_so_long(length: int) -> None:
    for data in (SIX[:length], SECRET[:length].ljust(length, b"S")):
        left = exif_of(strip(webp(HEADER, IMAGE, (b"EXIF", data), (b"LAST", b"1234"))))
        orientation = 6 if data == SIX[:length] and length >= 22 else 1
        assert left == tiff((ORIENTATION, SHORT, 1, orientation))[:length]


def test_large_exif_is_held_until_its_orientation_is_known_and_larger_one_refused() -> None:
    far = tiff((ORIENTATION, SHORT, 1, 6), gap=MAX_EXIF_BYTES - len(SIX))
    assert exif_of(strip(webp(HEADER, IMAGE, (b"EXIF", far)))).startswith(SIX)
    with pytest.raises(Unstrippable, match="Exif is too large"):
        strip(webp(HEADER, IMAGE, (b"EXIF", far + b"\0")))


def test_what_is_dropped_is_never_held() -> None:
    stripper = STRIPPERS[named("webp plain").image_type]()
    content = webp(HEADER, IMAGE, (b"SECR", bytes(5_000_000)))
    for piece in split(content, 65_536):
        assert abs(len(stripper.feed(piece)) - len(piece)) <= BLANK_BYTES


def test_frames_keep_their_place_time_and_image() -> None:
    content = SECRETIVE["WebP, within frames"]
    before = [data for name, data in webp_chunks(webps.animated()) if name == b"ANMF"]
    after = [data for name, data in webp_chunks(strip(content)) if name == b"ANMF"]
    filler = webps.chunk(b"JUNK", bytes(len(SECRET)))
    assert after == [frame + filler for frame in before]


@pytest.mark.parametrize("name", UNREADABLE)
def test_no_secret_passes_in_a_file_that_decoders_refuse(name: str) -> None:
    stripped = strip(UNREADABLE[name])
    assert SECRET[:6] not in stripped
    assert strip(stripped) == stripped


REFUSED = {
    "nothing in it": webp(),
    "no pixels": webp(HEADER, (b"EXIF", SIX)),
    "an unknown first chunk": webp((b"SECR", SECRET), IMAGE),
    "another length of its header": webp((b"VP8X", HEADER[1] + SECRET), IMAGE),
    "another length of the animation's": webp(
        webp_header(ANIMATION), (b"ANIM", SECRET), (b"ANMF", bytes(16))
    ),
    "a frame without a header": webp(webp_header(ANIMATION), (b"ANMF", bytes(15))),
    "a frame that begins with something else": webp(
        webp_header(ANIMATION), (b"ANMF", bytes(16) + webps.chunk(b"SECR", SECRET))
    ),
    "a chunk that ends behind its frame": webp(
        webp_header(ANIMATION), (b"ANMF", bytes(16) + b"VP8 \x09\0\0\0" + SECRET[:8])
    ),
    "a chunk that ends behind the file": webp(HEADER, behind=b"VP8 \xff\xff\xff\xff"),
    "no length": b"RIFF\0\0\0\0WEBP" + webps.encoded()[12:],
    "another container": webps.encoded().replace(b"RIFF", b"RIFX", 1),
    "too many parts": webp(HEADER, IMAGE, *[(b"SECR", b"")] * 40_000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused(name: str) -> None:
    stripper = STRIPPERS[named("webp plain").image_type]()
    with pytest.raises(Unstrippable, match=r"^It .*\.$"):
        stripper.feed(REFUSED[name])
        stripper.finish()


def test_a_truncated_file_is_passed_on_as_far_as_it_came() -> None:
    content = SECRETIVE["WebP, Exif, turned, and XMP"]
    whole = strip(content)
    begin = content.index(b"VP8 ") + 8
    for end in range(begin, len(content)):
        stripped = strip(content[:end])
        assert whole.startswith(stripped)
        assert strip(stripped) == stripped
        assert end - len(stripped) <= len(SIX + SECRET) + 8
