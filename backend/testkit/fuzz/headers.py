"""Fuzzing of the walks over a file's parts, and of the search for its end."""

import atheris  # type: ignore[import-untyped]

from app.imaging.formats import ImageType
from app.imaging.header import Header
from app.imaging.inspection import Inspection
from app.imaging.walker import MAX_STEPS
from testkit.fuzz.files import cut, draw

MAX_HELD = 512 * 1024
"""Bytes that a walk may ask to be held at once."""


def fuzz(kind: ImageType, provider: atheris.FuzzedDataProvider) -> None:
    """Check one file: nothing is raised, bounds hold, and where it is cut makes no difference."""
    content = draw(provider, kind).content
    everywhere = provider.ConsumeBool()
    whole = inspect(kind, [content], everywhere=everywhere)
    assert whole == inspect(kind, cut(provider, content), everywhere=everywhere), "cuts matter"


def inspect(
    kind: ImageType, pieces: list[bytes], *, everywhere: bool = True
) -> tuple[Header, bool | None]:
    """Return the header of a file, and whether it is truncated."""
    inspection = Inspection(kind, everywhere=everywhere)
    for piece in pieces:
        inspection.feed(piece)
        walker = inspection._walker
        assert walker._wanted <= MAX_HELD, "it holds too much"
        assert 0 <= walker._steps_left <= MAX_STEPS, "it takes too many steps"
    return inspection._header, inspection.truncated
