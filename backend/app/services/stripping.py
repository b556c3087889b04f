"""The bytes to store of a file that is to lose its metadata, while it arrives (ADR 44)."""

import logging
from collections.abc import AsyncIterator

from app.domain.errors import MetadataNotRemovable
from app.imaging.formats import ImageType
from app.imaging.stripping.base import Unstrippable
from app.imaging.stripping.strippers import STRIPPERS

_log = logging.getLogger(__name__)


async def without_metadata(
    head: bytes, rest: AsyncIterator[bytes], image_type: ImageType
) -> AsyncIterator[bytes]:
    """Yield what remains of a file, in pieces that are not empty.

    Raises:
        MetadataNotRemovable: If nothing removes it from this type, or if the file's structure
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
        _log.info("the metadata of an upload (%s) cannot be removed: %s", image_type, error)
        raise MetadataNotRemovable(is_damaged=True) from error
