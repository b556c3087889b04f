"""File names as clients send them, made safe to store, to show and to send back."""

import re
import unicodedata
from typing import Final

MAX_CHARACTERS: Final = 255

_EXTENSION = re.compile(r"\.[A-Za-z0-9]{1,10}\Z")
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
    clean = "".join(filter(_is_harmless, unicodedata.normalize("NFC", base)))
    clean = " ".join(unicodedata.normalize("NFC", clean).split()).strip(" ." + _JOINERS)
    if len(clean) > MAX_CHARACTERS:
        found = _EXTENSION.search(clean)
        extension = found.group() if found else ""
        stem = clean[: MAX_CHARACTERS - len(extension)].rstrip(" ." + _JOINERS)
        clean = stem + extension
    return clean or fallback


def _is_harmless(character: str) -> bool:
    return (
        character in _JOINERS
        or character.isspace()
        or unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co"}
    )
