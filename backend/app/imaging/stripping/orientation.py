"""The one thing that is kept of Exif."""

import struct

_ORIENTATION = 0x0112
_SHORT = 3


def minimal_exif(orientation: int) -> bytes:
    """Return Exif that holds an orientation and nothing else (TIFF 6.0, section 2)."""
    entry = struct.pack(">HHIHH", _ORIENTATION, _SHORT, 1, orientation, 0)
    return b"MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
