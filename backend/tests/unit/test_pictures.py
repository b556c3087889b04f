"""The test pictures are what they claim to be."""

from io import BytesIO

import pytest
from PIL import Image

from tests import pictures


@pytest.mark.parametrize("name", pictures.of_every_kind())
def test_pillow_decodes_every_picture(name: str) -> None:
    picture, content_type = pictures.of_every_kind()[name]
    with Image.open(BytesIO(picture)) as image:
        image.load()
        assert image.size == (64, 48)
        assert image.get_format_mimetype() in {content_type, "image/apng"}


def test_the_special_kinds_are_special() -> None:
    def info(name: str) -> Image.Image:
        return Image.open(BytesIO(pictures.of_every_kind()[name][0]))

    assert info("progressive.jpg").info["progressive"]
    assert info("cmyk.jpg").mode == "CMYK"
    assert info("rotated.jpg").getexif()[0x0112] == 6
    assert info("interlaced.png").info["interlace"]
    assert info("sixteen-bit.png").mode == "I;16"
    assert info("animated.png").info["loop"] == 0
