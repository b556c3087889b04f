"""Fuzzing of the strippers."""

import atheris  # type: ignore[import-untyped]

from app.imaging.formats import ImageType
from app.imaging.header import UPRIGHT
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS
from testkit.format_samples.private import SECRET
from testkit.fuzz.files import cut, draw
from testkit.fuzz.headers import inspect

MAX_ADDED = 64
"""Bytes: Exif that holds an orientation."""


def fuzz(kind: ImageType, provider: atheris.FuzzedDataProvider) -> None:
    """Check one file.

    It is refused, or nothing is left of its metadata, it is the same image, and there is nothing
    left to strip. Where it is cut makes no difference.
    """
    file = draw(provider, kind)
    stripped = strip(kind, [file.content])
    assert stripped == strip(kind, cut(provider, file.content)), "where it is cut matters"
    if stripped is None:
        return
    assert len(stripped) <= len(file.content) + MAX_ADDED, "it has grown"
    if file.is_of_whole_parts:
        assert SECRET not in stripped, "metadata are left"
    assert strip(kind, [stripped]) == stripped, "stripping twice changes more"
    before, truncated = inspect(kind, [file.content])
    after, is_cut = inspect(kind, [stripped])
    assert (before.frame, before.size) == (after.frame, after.size), "another image"
    assert (before.orientation or UPRIGHT) == (after.orientation or UPRIGHT), "it is turned"
    assert is_cut or not truncated, "what was cut looks whole"


def strip(kind: ImageType, pieces: list[bytes]) -> bytes | None:
    """Return the stripped file; None if it is refused."""
    stripper = STRIPPERS[kind]()
    try:
        return b"".join(stripper.feed(piece) for piece in pieces) + stripper.finish()
    except Unstrippable:
        return None
