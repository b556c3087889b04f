"""What fsck can find wrong, and how much of it a repair may remove."""

from collections import Counter
from datetime import timedelta
from enum import StrEnum
from typing import Final, NamedTuple

GRACE: Final = timedelta(hours=24)
"""Longer than any upload or rendering takes."""
FEW: Final = 10
"""This many rows, or files without a row, are removed without being expected by number."""


class Kind(StrEnum):
    """What can be wrong, by its name in reports."""

    FILE_WITHOUT_ROW = "file-without-row"
    ROW_WITHOUT_FILE = "row-without-file"
    WRONG_SIZE = "wrong-size"
    CORRUPT = "corrupt"
    UNREADABLE = "unreadable"
    OLD_STAGING_FILE = "old-staging-file"
    STALE_THUMBNAIL = "stale-thumbnail"
    WRONG_USE = "wrong-use"


BROKEN_ROWS: Final = frozenset({Kind.ROW_WITHOUT_FILE, Kind.WRONG_SIZE, Kind.CORRUPT})
"""What only `delete_broken_rows` repairs: evidence of a loss."""
LEFTOVERS: Final = frozenset({Kind.OLD_STAGING_FILE, Kind.STALE_THUMBNAIL, Kind.WRONG_USE})
"""What a repair removes or corrects however many there are: nobody's, thumbnails that can be made
again, and sums."""


class Finding(NamedTuple):
    """One thing that is wrong."""

    kind: Kind
    key: str
    """Storage key, or name of a staging file; of `WRONG_USE` the id of the user."""
    size: int
    """Bytes of the file; where there is none, those that the row promises; those of the user's
    images."""


class Removals:
    """What a repair is to remove, held back until it is known that it was expected.

    Memory is bounded by what is expected. `LEFTOVERS` do not belong here.

    Args:
        rows: How many rows there are.
        expected: How many rows and files without a row are to be removed; None = a few at most.
    """

    def __init__(self, rows: int, expected: int | None = None) -> None:
        self._rows = rows
        self._expected = expected
        self.count = Counter[Kind]()
        self.held: list[Finding] = []

    @property
    def are_expected(self) -> bool:
        """Whether they may be removed, now that all are known."""
        if self._expected is None:
            return not are_many(self.count, self._rows)
        return self.count.total() in {self._expected, 0}

    def hold(self, finding: Finding) -> list[Finding]:
        """Hold a finding; return all that are held, and release them, once there are too many."""
        self.count[finding.kind] += 1
        self.held.append(finding)
        if self._expected is None:
            too_many = are_many(self.count, self._rows)
        else:
            too_many = self.count.total() > self._expected
        if not too_many:
            return []
        held, self.held = self.held, []
        return held


def are_many(removals: Counter[Kind], rows: int) -> bool:
    """Return whether removals are more than a few, so that their number must be known before.

    Rows and files that do not belong together look like a loss: a wrong or half restored folder as
    if files were missing, a wrong database as if files had no rows.

    Args:
        removals: How many of each kind.
        rows: How many rows there are; to remove all of them is never few.
    """
    broken = sum(removals[kind] for kind in BROKEN_ROWS)
    return broken > FEW or 0 < rows <= broken or removals[Kind.FILE_WITHOUT_ROW] > FEW


def removed_kinds(*, delete_broken_rows: bool) -> frozenset[Kind]:
    """Return the kinds that a repair removes, besides `LEFTOVERS`."""
    return frozenset({Kind.FILE_WITHOUT_ROW}) | (BROKEN_ROWS if delete_broken_rows else frozenset())
