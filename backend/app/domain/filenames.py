"""File names as clients send them, made safe to store, to show and to send back."""

import re
import unicodedata
from collections.abc import Sequence
from typing import Final

MAX_CHARACTERS: Final = 255
_MOST_READ: Final = 4 * MAX_CHARACTERS
"""Characters of a name that are looked at: normalising takes quadratic time, for marks that are out
of order."""

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
_IMAGE_EXTENSION = re.compile(
    r"\.(apng|avifs?|bmp|dng|gif|hei[cf]s?|hif|jif|jfif|jpe?g?|jxl|pjp|pjpeg|png|svg|tiff?|webp)\Z",
    re.IGNORECASE,
)
_JOINERS: Final = "\u200c\u200d"
"""Zero-width (non-)joiners: of category Cf, yet part of emoji and of Persian or Indic words."""


def sanitize_filename(name: str | None, fallback: str) -> str:
    r"""Reduce a client's file name to one harmless line, or `fallback` if nothing is left.

    Keeps the last component of a path with / or \, in Unicode normal form C; drops control,
    formatting (such as right-to-left override), private and surrogate characters; makes runs of
    white space one space; strips spaces and dots at both ends; cuts to `MAX_CHARACTERS`, keeping
    the extension. Sanitising a sanitised name changes nothing.
    """
    base = re.split(r"[/\\]", name or "")[-1]
    if len(base) > _MOST_READ:
        base = base[: _MOST_READ - MAX_CHARACTERS] + base[-MAX_CHARACTERS:]
    clean = "".join(filter(_is_harmless, unicodedata.normalize("NFC", base)))
    clean = " ".join(unicodedata.normalize("NFC", clean).split()).strip(" ." + _JOINERS)
    if len(clean) > MAX_CHARACTERS:
        found = _EXTENSION.search(clean)
        extension = found.group() if found else ""
        clean = _join(clean.removesuffix(extension), extension)
    return clean or fallback


def with_extension(name: str, extensions: Sequence[str]) -> str:
    """Return a sanitised name that ends in one of the `extensions` of the file's type.

    A name that does so stays. Of another, the ending of another type of image is replaced by the
    first of them (`photo.heic`), and to anything else it is added (`page.html`, `version 1.2`).
    Without any extensions, for a type that is not known, the name stays.
    """
    if not extensions or name.lower().endswith(tuple(extensions)):
        return name
    return _join(_IMAGE_EXTENSION.sub("", name), extensions[0])


def _join(stem: str, extension: str) -> str:
    return stem[: MAX_CHARACTERS - len(extension)].rstrip(" ." + _JOINERS) + extension


def _is_harmless(character: str) -> bool:
    return (
        character in _JOINERS
        or character.isspace()
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )
