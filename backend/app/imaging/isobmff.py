"""The parts of an AVIF or HEIC file: boxes (ISO/IEC 14496-12), of which `meta` describes items.

An image is an item (ISO/IEC 23008-12). `meta` names the primary one, which viewers show, and says
where in the file the data of all items are.
"""

from functools import partial
from typing import Final

from app.imaging.fields import Malformed
from app.imaging.header import Header
from app.imaging.items import AV1, HEVC, PROPERTIES, TABLES, Items
from app.imaging.walker import Walk

HEIC_BRANDS: Final = frozenset(
    {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"}
)
AVIF_BRANDS: Final = frozenset({b"avif", b"avis"})
GENERIC_BRANDS: Final = frozenset({b"mif1", b"mif2", b"mif3", b"msf1", b"miaf", b"MiHB", b"MA1B"})
"""Of files of either type."""

_REST_OF_FILE: Final = 1 << 64


def _walk(header: Header, codec: bytes) -> Walk[bool]:
    """Iterate over boxes to the one in which the data of the last item end.

    Return False if there is no image, or if its codec is not the one of the file's brand.
    """
    header.is_image = False
    try:
        yield from _walk_file(header, codec)
    except Malformed:
        return False
    return True


walk_avif = partial(_walk, codec=AV1)
walk_heic = partial(_walk, codec=HEVC)


def _walk_file(header: Header, codec: bytes) -> Walk[None]:
    """Iterate over the boxes of the file, of which the last may lack its length."""
    place, end = 0, None
    while end is None or place < end:
        kind, head_bytes, length = yield from _next_box(_REST_OF_FILE)
        is_last = head_bytes + length == _REST_OF_FILE
        place += head_bytes
        if kind == b"meta" and end is None:
            read, end = yield from _walk_meta(header, codec, length)
            length -= read
            place += read
        if is_last:
            if end is None:
                raise Malformed
            length = max(end - place, 0)
        yield -length
        place += length


def _walk_meta(header: Header, codec: bytes, length: int) -> Walk[tuple[int, int]]:
    """Read `meta` until all tables have come, which are kept no longer.

    Return how many of its bytes that took, and where in the file the data of the last item end.
    """
    items = Items()
    yield 4
    rest = length - 4
    while rest > 0 and not items.complete:
        kind, head_bytes, size = yield from _next_box(rest)
        rest -= head_bytes + size
        if kind == b"iprp":
            yield from _walk_properties(items, size)
        elif kind in TABLES:
            yield from _keep(items, kind, size)
        else:
            yield -size
    return length - rest, items.describe(header, codec)


def _walk_properties(items: Items, rest: int) -> Walk[None]:
    while rest > 0:
        kind, head_bytes, size = yield from _next_box(rest)
        rest -= head_bytes + size
        if kind == b"ipma":
            yield from _keep(items, kind, size)
        elif kind == b"ipco":
            yield from _walk_container(items, size)
        else:
            yield -size


def _walk_container(items: Items, rest: int) -> Walk[None]:
    while rest > 0:
        kind, head_bytes, size = yield from _next_box(rest)
        rest -= head_bytes + size
        content = yield min(size, PROPERTIES.get(kind, 0))
        items.properties.append((kind, content))
        yield len(content) - size


def _keep(items: Items, kind: bytes, size: int) -> Walk[None]:
    if size > items.bytes_left:
        raise Malformed
    items.bytes_left -= size
    items.tables[kind].append((yield size))


def _next_box(most: int) -> Walk[tuple[bytes, int, int]]:
    """Return the type of a box, and the lengths of its head and of its content.

    Args:
        most: Bytes that there are for it.
    """
    head = yield 8
    size, head_bytes = int.from_bytes(head[:4]), 8
    if size == 1:
        size, head_bytes = int.from_bytes((yield 8)), 16
    elif size == 0:
        size = most
    if not head_bytes <= size <= most:
        raise Malformed
    return head[4:], head_bytes, size - head_bytes
