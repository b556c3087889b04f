"""PNGs with something in every place that may not pass."""

from testkit import samples
from testkit.format_samples.private import SECRET
from testkit.orientations import SIX, tiff
from testkit.samples import chunk, png_with

_TEXTS = (b"tEXt", b"zTXt", b"iTXt", b"tIME", b"caBX", b"iDOT", b"vpAg", b"sPLT", b"prVw")
_KNOWN = (b"gAMA", b"cHRM", b"sRGB", b"cICP", b"mDCV", b"cLLI", b"sBIT", b"bKGD", b"pHYs")
_PNG = samples.png()
SECRETIVE = {
    "texts and chunks of programs": png_with(*(chunk(kind, SECRET) for kind in _TEXTS)),
    "chunks longer than they can be": png_with(*(chunk(kind, SECRET * 2) for kind in _KNOWN)),
    "eXIf with an orientation": png_with(chunk(b"eXIf", tiff(SIX) + SECRET)),
    "eXIf without one": png_with(chunk(b"eXIf", tiff() + SECRET)),
    "eXIf again": png_with(chunk(b"eXIf", tiff(SIX)), chunk(b"eXIf", tiff(SIX) + SECRET)),
    "eXIf behind the pixels": _PNG[:-12] + chunk(b"eXIf", tiff(SIX) + SECRET) + _PNG[-12:],
    "texts behind the pixels": _PNG[:-12] + chunk(b"tEXt", SECRET) + _PNG[-12:],
    "bytes behind the end": _PNG + SECRET,
    "an image behind the end": _PNG + png_with(chunk(b"tEXt", SECRET)),
}
