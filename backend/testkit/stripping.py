"""Stripping in tests."""

from collections.abc import Iterable

from app.imaging.formats import detect
from app.imaging.stripping.strippers import STRIPPERS


def strip(content: bytes, pieces: Iterable[bytes] = ()) -> bytes:
    """Return an image stripped, fed whole or in pieces.

    Raises:
        Unstrippable: If it is refused.
    """
    image_type = detect(content)
    assert image_type
    stripper = STRIPPERS[image_type]()
    return b"".join(map(stripper.feed, pieces or (content,))) + stripper.finish()
