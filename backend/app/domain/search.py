"""The terms by which images are found: made of names and metadata, and of what is searched for.

They are made here, not by PostgreSQL, whose idea of a letter depends on a database's locale.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from enum import Enum, auto
from functools import lru_cache
from itertools import groupby, islice, pairwise
from typing import Final, NamedTuple
from unicodedata import category, combining, decimal, normalize
from uuid import UUID

from app.domain.metadata import Value

MAX_TERMS: Final = 256
"""Terms of a row: those of the longest name that is a single run of Han characters."""
MAX_QUERY_TERMS: Final = 16
MAX_CHARACTERS: Final = 40
"""Characters of a term; what is longer is cut, of a row as of a query."""

_FIELDS: Final = ("camera_make", "camera_model", "lens", "software")
"""Fields of the metadata that are found by their words."""

_LETTERS: Final = {
    "æ": "ae",
    "ð": "d",
    "ø": "o",
    "þ": "th",
    "đ": "d",
    "ħ": "h",
    "\N{LATIN SMALL LETTER DOTLESS I}": "i",
    "ł": "l",
    "ŋ": "n",
    "œ": "oe",
    "ŧ": "t",
    "\N{MODIFIER LETTER TURNED COMMA}": "'",
    "\N{MODIFIER LETTER APOSTROPHE}": "'",
    "\N{ARABIC TATWEEL}": "",
}
"""Letters that people also write without their stroke, as two, as an apostrophe, or not at all;
Unicode decomposes none of them."""

_WITHOUT_SPACES: Final = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff"  # Thai, Lao, Myanmar, Hangul, Khmer
    "\u2e80-\u2fdf\u3005-\u3007\u3021-\u3029\u3040-\u31ff\u3400-\u9fff"  # Han, Kana
    "\ua9e0-\ua9ff\uaa60-\uaa7f\uac00-\ud7ff\uf900-\ufaff\U00020000-\U0003ffff]"
)
"""Scripts whose words are not, or not always, separated by spaces."""
_VARIATION_SELECTORS: Final = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


class Filters(NamedTuple):
    """What the images of a list have in common; empty and None for what does not matter."""

    terms: tuple[str, ...] = ()
    """Beginnings of terms, all of which an image has."""
    content_type: str | None = None
    since: datetime | None = None
    """When the first was uploaded, or after that."""
    before: datetime | None = None
    """The last was uploaded before that."""
    checksum: bytes | None = None
    """SHA-256 of the stored bytes."""
    owner_id: UUID | None = None
    """Of the user whose images they are; None = everybody's."""


NO_FILTERS: Final = Filters()


def terms_of(filename: str, metadata: Mapping[str, Value] | None) -> list[str]:
    """Return the terms of an image, each once: of its name, its camera, the day it was taken."""
    known = metadata or {}
    texts = [filename, *(str(known.get(name, "")) for name in _FIELDS)]
    texts.append(str(known.get("taken_at", ""))[: len("2026-11-21")])
    return _distinct(MAX_TERMS, *texts)


def query_terms(query: str) -> tuple[str, ...]:
    """Return the terms whose beginnings an image must have; none if there is nothing to find.

    Those that begin another one are left out: what has the longer one has them too.
    """
    found = _distinct(MAX_QUERY_TERMS, query)
    return tuple(
        term
        for term in found
        if not any(other != term and other.startswith(term) for other in found)
    )


class _Kind(Enum):
    """What a character is to a search."""

    LETTER = auto()
    LETTER_WITHOUT_SPACES = auto()
    DIGIT = auto()
    SYMBOL = auto()
    """An emoji, for one: a term by itself."""
    SEPARATOR = auto()


def _distinct(most: int, *texts: str) -> list[str]:
    found = dict.fromkeys(term for text in texts for term in _terms(text))
    return list(islice(found, most))


def _terms(text: str) -> Iterator[str]:
    """Yield the words and numbers of a text.

    Of scripts without spaces each pair of characters, and the last character, so that a part of
    what is written together is found.
    """
    for kind, characters in groupby(_folded(text), _kind):
        run = "".join(characters)
        match kind:
            case _Kind.LETTER | _Kind.DIGIT:
                yield run[:MAX_CHARACTERS]
            case _Kind.LETTER_WITHOUT_SPACES:
                yield from map("".join, pairwise(run))
                yield run[-1]
            case _Kind.SYMBOL:
                yield from run


def _folded(text: str) -> str:
    """Return a text without what people may leave out: case, accents, widths, kinds of digits."""
    if text.isascii():
        return text.lower()
    decomposed = normalize("NFKD", normalize("NFKD", text).casefold())
    return normalize("NFC", "".join(map(_plain, decomposed)))


@lru_cache(4096)
def _plain(character: str) -> str:
    """Return what stands for a decomposed character.

    Marks are dropped by their class (Unicode Standard, table 4-3): points of Hebrew, Arabic and
    Syriac, accents. Those of other scripts stay, for they make another letter of it: nukta, voicing
    of kana, virama, vowels and tones of Thai.
    """
    accent = 10 <= combining(character) <= 36 or combining(character) >= 200  # noqa: PLR2004
    if accent or category(character) in {"Cf", "Me"} or _VARIATION_SELECTORS.match(character):
        return ""
    digit = decimal(character, None)
    return _LETTERS.get(character, character) if digit is None else str(digit)


@lru_cache(4096)
def _kind(character: str) -> _Kind:
    match category(character)[0], category(character):
        case "N", _:
            return _Kind.DIGIT
        case "L" | "M", _:
            is_paired = _WITHOUT_SPACES.match(character)
            return _Kind.LETTER_WITHOUT_SPACES if is_paired else _Kind.LETTER
        case _, "So":
            return _Kind.SYMBOL
    return _Kind.SEPARATOR
