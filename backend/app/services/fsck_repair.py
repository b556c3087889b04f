"""A comparison of rows and files, and the removal of what it finds, as far as that is expected."""

from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

from app.domain.image import StoredFile
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import LEFTOVERS, Finding, Removals, removed_kinds
from app.storage.base import Skipped, ignore


class Outcome(NamedTuple):
    """What became of one finding."""

    finding: Finding
    is_repaired: bool


async def repair(
    check: ConsistencyCheck,
    removals: Removals,
    progress: Callable[[StoredFile], object] = lambda _row: None,
    skipped: Skipped = ignore,
    *,
    delete_broken_rows: bool = False,
) -> AsyncIterator[Outcome]:
    """Compare everything, and repair it.

    Rows and originals are removed when all has been found, and only if `removals` are expected.

    Args:
        check: Finds and removes.
        removals: Which numbers are expected.
        progress: As of `ConsistencyCheck.find`.
        skipped: The same.
        delete_broken_rows: Whether rows are removed too.

    Raises:
        DatabaseUnavailable: As `ConsistencyCheck.find` and `ConsistencyCheck.repair`.
        StorageUnavailable: The same.
    """
    kinds = removed_kinds(delete_broken_rows=delete_broken_rows)
    async for finding in check.find(progress, skipped):
        if finding.kind in kinds:
            for given_up in removals.hold(finding):
                yield Outcome(given_up, is_repaired=False)
        else:
            is_repaired = finding.kind in LEFTOVERS and await check.repair(
                finding, delete_broken_rows=False
            )
            yield Outcome(finding, is_repaired)
    for finding in removals.held:
        is_repaired = removals.are_expected and await check.repair(
            finding, delete_broken_rows=delete_broken_rows
        )
        yield Outcome(finding, is_repaired)
