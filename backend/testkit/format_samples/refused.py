"""Files of other kinds that people upload, and those that only begin as an accepted one does."""

from functools import cache
from typing import Final

from testkit.format_samples import heif, isobmff, picture, private

_SVG: Final = b'<svg xmlns="http://www.w3.org/2000/svg" width="1" height="1"></svg>'
_PDF: Final = b"%PDF-1.7\n1 0 obj <</Type /Catalog>> endobj\ntrailer <</Root 1 0 R>>\n%%EOF\n"


@cache
def all_refused() -> dict[str, bytes]:
    """Return them by name."""
    image = picture.upright()
    files = {kind: picture.save(image, kind) for kind in ("TIFF", "BMP", "ICO", "JPEG2000")}
    files |= {"SVG": _SVG, "PDF": _PDF, "MP4": private.film()}
    for kind, encode in heif.ENCODERS.items():
        name = kind.removeprefix("image/").upper()
        whole = encode(image)
        head = whole[: int.from_bytes(whole[:4])]
        files[f"{name}, its first box alone"] = head
        files[f"{name}, with a film and no image"] = head + private.film()
        files[f"{name}, with an empty list of items"] = head + isobmff.full_box(b"meta", b"")
        metadata = isobmff.Item(b"mime", private.xmp())
        files[f"{name}, of metadata alone"] = isobmff.write(head[8:12], [metadata])
    sequence, others = picture.frames()
    film = heif.avif(sequence, save_all=True, append_images=others)
    files["AVIF sequence, without its still image"] = film.replace(b"meta", b"free", 1)
    return files
