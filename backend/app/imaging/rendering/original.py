"""What an original is, as the whole service reads it, whatever a library would read (ADR 23)."""

import os
from typing import Final, NamedTuple

from app.imaging.formats import HEAD_BYTES, WALKS, ImageType, detect
from app.imaging.header import Header
from app.imaging.walker import Walker

_BLOCK: Final = 64 * 1024


class Original(NamedTuple):
    """An open file, read by its descriptor."""

    type: ImageType | None
    """By its first bytes; None if it is no image."""
    header: Header


def read_original(descriptor: int) -> Original:
    """Return the type and the header of an open file."""
    header = Header()
    image_type = detect(os.pread(descriptor, HEAD_BYTES, 0))
    if image_type is None:
        return Original(None, header)
    walker = Walker(WALKS[image_type](header))
    begin = 0
    while not walker.complete and (block := os.pread(descriptor, _BLOCK, begin)):
        walker.feed(memoryview(block))
        begin += len(block)
    return Original(image_type, header)
