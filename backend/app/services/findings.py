"""What fsck can find wrong."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class Kind(StrEnum):
    """What can be wrong, by its name in reports."""

    FILE_WITHOUT_ROW = "file-without-row"
    ROW_WITHOUT_FILE = "row-without-file"
    WRONG_SIZE = "wrong-size"
    CORRUPT = "corrupt"
    UNREADABLE = "unreadable"
    OLD_STAGING_FILE = "old-staging-file"


BROKEN_ROWS: Final = frozenset({Kind.ROW_WITHOUT_FILE, Kind.WRONG_SIZE, Kind.CORRUPT})
"""What only `delete_broken_rows` repairs: evidence of a loss."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong."""

    kind: Kind
    key: str
    """Storage key, or name of a staging file."""
    size: int
    """Bytes of the file; where there is none, those that the row promises."""
