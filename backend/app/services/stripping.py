"""The bytes to store of a file that is to lose its metadata, while it arrives (ADR 44)."""

from collections.abc import AsyncIterator

from app.domain.errors import MetadataNotRemovable
from app.imaging.formats import ImageType
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS


async def without_metadata(
    head: bytes, rest: AsyncIterator[bytes], image_type: ImageType
) -> AsyncIterator[bytes]:
    """Yield what remains of a file, in pieces that are not empty.

    Raises:
        MetadataNotRemovable: If nothing removes them from this type, or if the file's structure
            cannot be followed.
    """
    if image_type not in STRIPPERS:
        raise MetadataNotRemovable
    stripper = STRIPPERS[image_type]()
    try:
        if kept := stripper.feed(head):
            yield kept
        async for chunk in rest:
            if kept := stripper.feed(chunk):
                yield kept
        if kept := stripper.finish():
            yield kept
    except Unstrippable as error:
        raise MetadataNotRemovable(is_damaged=True) from error
