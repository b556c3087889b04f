"""Stripping a GIF file, block by block (GIF89a specification)."""

from typing import Final

from app.imaging.gif import palette_bytes
from app.imaging.stripping.base import Keep, KeepSubBlocks, Kept, Strip, Unstrippable

_SCREEN_BYTES: Final = 13
"""Header and logical screen descriptor (sections 17 and 18)."""
_EXTENSION, _IMAGE, _TRAILER = b"!", b",", b";"
_GRAPHIC_CONTROL: Final = b"\xf9"
_CONTROL_BYTES: Final = 4
_APPLICATION: Final = b"\xff\x0b"
"""Label of the extension, and the length of its name (section 26)."""
_LOOPS: Final = {b"NETSCAPE2.0", b"ANIMEXTS1.0"}
_LOOP_BYTES: Final = 3
"""Of the sub-block that says how often an animation is repeated: its number, 1, and a count."""
_COLOUR_PROFILE: Final = b"ICCRGBG1012"
_CODE_SIZE_BYTES: Final = 1
"""Before the sub-blocks of pixels (section 22)."""


def strip(kept: Kept) -> Strip:
    """Pass on images, their graphic control, repetition and colour profile, up to the trailer."""
    has_pixels = False
    try:
        screen = yield _SCREEN_BYTES
        if screen[:6] not in {b"GIF87a", b"GIF89a"}:
            raise Unstrippable("It does not begin as a GIF file does.")
        kept.append(screen)
        if palette := palette_bytes(screen[10]):
            yield Keep(palette)
        while (kind := (yield 1)) != _TRAILER:
            if kind == _IMAGE:
                descriptor = yield 9
                has_pixels = True
                kept.append(_IMAGE + descriptor)
                yield KeepSubBlocks(after=palette_bytes(descriptor[8]) + _CODE_SIZE_BYTES)
            elif kind == _EXTENSION:
                yield from _strip_extension(kept, (yield 2))
            else:
                raise Unstrippable("It has a block of unknown meaning.")
        kept.append(_TRAILER)
    except EOFError:
        pass
    if not has_pixels:
        raise Unstrippable("It ends before its pixels begin.")


def _strip_extension(kept: Kept, label: bytes) -> Strip:
    """Pass on what is known; drop comments, texts, XMP, and what is unknown.

    Args:
        kept: What is passed on.
        label: That of the extension, and the length of its first sub-block.
    """
    length = label[1]
    if label[:1] == _GRAPHIC_CONTROL:
        control = yield length + 1
        if length != _CONTROL_BYTES or control[-1]:
            raise Unstrippable("It has a graphic control of an unknown form.")
        kept.append(_EXTENSION + label + control)
        return
    if label == _APPLICATION:
        name = yield length
        if name in _LOOPS:
            yield from _strip_loop(kept, _EXTENSION + label + name)
            return
        if name == _COLOUR_PROFILE:
            kept.append(_EXTENSION + label + name)
            yield KeepSubBlocks(after=0)
            return
        length = (yield 1)[0]
    yield from _drop_sub_blocks(length)


def _strip_loop(kept: Kept, head: bytes) -> Strip:
    """Pass on how often the animation is repeated, and nothing that hides behind it."""
    length = (yield 1)[0]
    loop = b""
    while length:
        block = yield length + 1
        if length == _LOOP_BYTES and block[0] == 1:
            loop = loop or block[:length]
        length = block[-1]
    if loop:
        kept.append(head + bytes((_LOOP_BYTES,)) + loop + b"\0")


def _drop_sub_blocks(length: int) -> Strip:
    """Drop sub-blocks from one on whose length is known."""
    while length:
        length = (yield length + 1)[-1]
