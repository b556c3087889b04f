"""Stripping a WebP file, chunk by chunk (RFC 9649, section 2).

The length of the whole stands at its start, so what is dropped leaves as many bytes behind: a chunk
of zeros under a name that no reader knows.
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from app.imaging.header import UPRIGHT, minimal_exif, walk_exif
from app.imaging.stripping.base import Keep, Kept, Strip, Unstrippable
from app.imaging.walker import Walker

MAX_EXIF_BYTES: Final = 256 * 1024
"""Of Exif, which is held until its orientation is known. A JPEG has no more than 64 KiB."""
BLANK_BYTES: Final = 4096
"""How many bytes become zeros in one step."""

_HEAD_BYTES: Final = 8
"""Of a chunk: its name, and the length of what follows."""
_LENGTHS: Final[Mapping[bytes, int]] = MappingProxyType({b"VP8X": 10, b"ANIM": 6})
"""Of the bodies of chunks that always have the same."""
_FRAME_HEADER_BYTES: Final = 16
_FRAME: Final = b"ANMF"
_IMAGES: Final = {b"VP8 ", b"VP8L"}
_STILL: Final = {b"ALPH", *_IMAGES}
_FILLER: Final = b"JUNK"
_EXIF_NAME: Final = b"Exif\0\0"
_PROFILE, _ALPHA, _EXIF, _ANIMATION = 0x20, 0x10, 0x08, 0x02
"""Flags of VP8X (section 2.7), of which that of XMP is cleared."""


def strip(kept: Kept) -> Strip:
    """Pass on image or frames, transparency, colour profile and orientation; drop what follows."""
    seen: set[bytes] = set()
    try:
        riff = yield 12
        if riff[:4] != b"RIFF" or riff[8:] != b"WEBP":
            raise Unstrippable("It does not begin as a WebP file does.")
        kept.append(riff)
        yield from _strip_chunks(kept, _number(riff[4:8]) - 4, {b"VP8X", *_IMAGES}, seen)
    except EOFError:
        pass
    if seen.isdisjoint({_FRAME, *_IMAGES}):
        raise Unstrippable("It ends before its pixels begin.")


def _strip_chunks(kept: Kept, left: int, wanted: set[bytes], seen: set[bytes]) -> Strip:
    """Pass on the wanted chunks and blank the others.

    Args:
        kept: What is passed on.
        left: Bytes of all chunks together.
        wanted: Names of chunks; those that a chunk announces are added, those that it excludes
            are removed.
        seen: Where the names of those passed on are added.
    """
    while left >= _HEAD_BYTES:
        head = yield _HEAD_BYTES
        name, length = head[:4], _number(head[4:])
        left -= _HEAD_BYTES + length
        if left < 0:
            raise Unstrippable("It has a chunk that is longer than what it is a part of.")
        if name in wanted:
            seen.add(name)
            kept.append(head)
            yield from _strip_chunk(kept, name, length, wanted)
        elif seen:
            kept.append(_FILLER + head[4:])
            yield from _blank(kept, length)
        else:
            raise Unstrippable("It begins with a chunk of unknown meaning.")
        padding = min(length % 2, left)
        left -= padding
        yield from _blank(kept, padding)
    yield from _blank(kept, left)


def _strip_chunk(kept: Kept, name: bytes, length: int, wanted: set[bytes]) -> Strip:
    """Pass on the body of a chunk; only frames may come again."""
    if length != _LENGTHS.get(name, length):
        raise Unstrippable("It has a chunk of an unknown form.")
    if name != _FRAME:
        wanted.discard(name)
    if name == b"VP8X":
        yield from _strip_header(kept, wanted)
    elif name == _FRAME:
        yield from _strip_frame(kept, length)
    elif name == b"EXIF":
        yield from _strip_exif(kept, length)
    else:
        if name in _IMAGES:
            wanted -= {b"VP8X", *_STILL}
        yield Keep(length)


def _strip_header(kept: Kept, wanted: set[bytes]) -> Strip:
    """Announce what is passed on, and want it (section 2.7)."""
    header = yield _LENGTHS[b"VP8X"]
    flags = header[0] & (_PROFILE | _ALPHA | _EXIF | _ANIMATION)
    kept.append(bytes((flags, 0, 0, 0)) + header[4:])
    wanted.clear()
    wanted |= {b"ANIM", _FRAME} if flags & _ANIMATION else _STILL
    if flags & _PROFILE:
        wanted.add(b"ICCP")
    if flags & _EXIF:
        wanted.add(b"EXIF")


def _strip_frame(kept: Kept, length: int) -> Strip:
    """Pass on the frame of an animation (section 2.7.1.1): its place, its time and its image."""
    if length < _FRAME_HEADER_BYTES:
        raise Unstrippable("It has a frame without a header.")
    yield Keep(_FRAME_HEADER_BYTES)
    yield from _strip_chunks(kept, length - _FRAME_HEADER_BYTES, set(_STILL), set())


def _strip_exif(kept: Kept, length: int) -> Strip:
    """Pass on Exif with the orientation alone, and zeros for the rest.

    Some programs put the name before it that it has in a JPEG, and some readers do not find an
    orientation behind that: it stays for both.
    """
    if length > MAX_EXIF_BYTES:
        raise Unstrippable("Its Exif is too large.")
    data = (yield length) if length else b""
    exif = data.removeprefix(_EXIF_NAME)
    walker = Walker(walk_exif(len(exif)))
    walker.feed(memoryview(exif))
    stripped = data[: length - len(exif)] + minimal_exif(walker.result or UPRIGHT)
    kept.append(stripped[:length].ljust(length, b"\0"))


def _blank(kept: Kept, length: int) -> Strip:
    """Pass on as many zeros as there were bytes."""
    while length > 0:
        count = min(length, BLANK_BYTES)
        yield -count
        kept.append(bytes(count))
        length -= count


def _number(field: bytes) -> int:
    return int.from_bytes(field, "little")
