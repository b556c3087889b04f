"""The sample images are what they claim to be."""

from io import BytesIO

import pytest
from PIL import ExifTags, Image

from testkit import samples


@pytest.mark.parametrize("name", samples.of_every_kind())
def test_pillow_decodes_every_image(name: str) -> None:
    content, content_type = samples.of_every_kind()[name]
    with Image.open(BytesIO(content)) as image:
        image.load()
        assert image.size == (64, 48)
        assert image.get_format_mimetype() in {content_type, "image/apng"}


def test_the_special_kinds_are_special() -> None:
    def info(name: str) -> Image.Image:
        return Image.open(BytesIO(samples.of_every_kind()[name][0]))

    assert info("progressive.jpg").info["progressive"]
    assert info("cmyk.jpg").mode == "CMYK"
    assert info("xmp-first.jpg").getexif()[0x0112] == 8
    for n in range(1, 9):
        assert info(f"orientation-{n}.jpg").getexif()[0x0112] == n
    assert info("orientation-6.png").getexif()[0x0112] == 6
    thumbnail = info("thumbnail.jpg").getexif().get_ifd(ExifTags.IFD.IFD1)
    assert thumbnail[ExifTags.Base.JpegIFByteCount] > 1000
    assert len(info("print-profile.jpg").info["icc_profile"]) > 500_000
    assert info("interlaced.png").info["interlace"]
    assert info("one-bit.png").mode == "1"
    assert info("text-first.png").info["Comment"] == "schön"
    assert info("sixteen-bit.png").mode == "I;16"
    assert info("animated.png").info["loop"] == 0
