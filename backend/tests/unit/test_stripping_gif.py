"""What is particular to stripping GIF."""

from io import BytesIO
from itertools import product

import pytest
from PIL import Image, ImageSequence

from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from testkit.format_samples import named, picture, profile
from testkit.format_samples.private import SECRET
from testkit.secretive.gifs import gif_extension, gif_with
from testkit.stripping import strip

PLAIN = named("gif plain").content
COMMENT = gif_extension(0xFE, SECRET)


def shown(content: bytes) -> list[object]:
    """Return what Pillow finds of each frame."""
    with Image.open(BytesIO(content)) as image:
        found: list[object] = [image.info.get("loop"), image.info.get("background")]
        for frame in ImageSequence.Iterator(image):
            told = (frame.info.get("duration"), frame.info.get("transparency"))
            found.append((*told, getattr(frame, "disposal_method"), frame.tobytes()))  # noqa: B009
    return found


def test_delays_disposal_transparency_and_loops_stay() -> None:
    first, others = picture.frames()
    frames = [frame.convert("P") for frame in (first, *others)]
    for loop, transparency, disposal in product((None, 0, 7), (None, 3), (0, 1, 2)):
        options = {"loop": loop, "transparency": transparency, "disposal": disposal}
        asked = {name: value for name, value in options.items() if value is not None}
        content = picture.save(
            frames[0],
            "GIF",
            save_all=True,
            append_images=frames[1:],
            duration=[90, 30, 170],
            **asked,
        )
        stripped = strip(gif_with(COMMENT, content=content))
        assert shown(stripped) == shown(content)
        assert stripped == strip(content)


def test_the_colour_profile_stays() -> None:
    colours = profile.exchanging()
    blocks = [colours[place : place + 255] for place in range(0, len(colours), 255)]
    extension = gif_extension(0xFF, b"ICCRGBG1012", *blocks)
    assert strip(gif_with(extension, COMMENT, content=PLAIN)) == gif_with(extension, content=PLAIN)


@pytest.mark.parametrize("name", [b"NETSCAPE2.0", b"ANIMEXTS1.0"])
def test_of_the_number_of_loops_only_the_number_stays(name: bytes) -> None:
    loops = gif_extension(0xFF, name, b"\1\7\0")
    hidden = (SECRET, SECRET[:3], b"\1\7\0", b"\2\0\0\0\0", b"\1\x09\0", SECRET)
    secretive = gif_extension(0xFF, name, *hidden)
    assert strip(gif_with(secretive, content=PLAIN)) == gif_with(loops, content=PLAIN)
    assert strip(gif_with(gif_extension(0xFF, name), content=PLAIN)) == PLAIN


def test_thousands_of_small_frames_are_not_too_many_parts() -> None:
    frames = [Image.new("P", (9, 9)) for _ in range(3_000)]
    for number, frame in enumerate(frames):
        frame.putdata([number * place % 251 for place in range(81)])
    content = picture.save(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert content.count(b"!\xf9\x04") > 2_900
    assert strip(content) == content


def block(*parts: bytes) -> bytes:
    return gif_with(*parts, content=PLAIN)


REFUSED = {
    "no pixels": PLAIN[:13] + b"\0" * 768 + b";",
    "another version": PLAIN.replace(b"GIF8", b"GIF7", 1),
    "an unknown block": block(b"?"),
    "a byte between blocks": block(b"\0"),
    "a graphic control of more bytes": block(gif_extension(0xF9, bytes(5))),
    "a graphic control of none": block(gif_extension(0xF9)),
    "a graphic control with more behind it": block(gif_extension(0xF9, bytes(4), SECRET)),
    "too many parts": block(*[gif_extension(0xFE)] * 10_000),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_followed_is_refused(name: str) -> None:
    stripper = STRIPPERS[named("gif plain").image_type]()
    with pytest.raises(Unstrippable, match=r"^It .*\.$"):
        stripper.feed(REFUSED[name])
        stripper.finish()


def test_a_truncated_file_is_passed_on_as_far_as_it_came() -> None:
    content = gif_with(COMMENT, content=PLAIN)
    whole = strip(content)
    begin = content.index(b",", content.index(COMMENT) + len(COMMENT)) + 10
    for end in range(begin, len(content)):
        stripped = strip(content[:end])
        assert whole.startswith(stripped)
        assert strip(stripped) == stripped
        assert end - len(stripped) <= 2 * len(COMMENT)
