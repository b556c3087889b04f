"""The command that compares rows and files: `python -m app fsck`."""

import argparse
import sys
from collections import Counter
from functools import partial
from typing import Final

from tqdm import tqdm

from app.commands import runner
from app.commands.fsck_options import repair_command
from app.commands.fsck_reports import JsonReport, Report, TextReport
from app.commands.progress import counted
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.domain.errors import DatabaseUnavailable
from app.domain.image import StoredFile
from app.observability.reasons import reason
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import BROKEN_ROWS, LEFTOVERS, Removals, are_many, removed_kinds
from app.services.fsck_repair import repair
from app.services.identity import StorageIdentity
from app.services.maintenance import record_fsck

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_NOT_CHECKED: Final = 2
EXIT_NOT_REPAIRED: Final = 3


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Compare, report, and repair if asked to.

    Returns:
        0 = rows and files agree, but for stale thumbnails, 1 = they did not, 2 = the comparison
        failed, 3 = they did not, and a repair would have removed another number than was expected,
        so no row and no original was removed.
    """
    report = (JsonReport if options.json else TextReport)()
    work = partial(_check, options, report)
    status = EXIT_NOT_CHECKED
    try:
        status = runner.run(settings, work, "Not checked", EXIT_NOT_CHECKED)
    finally:
        if status == EXIT_NOT_CHECKED and options.checksums and report.last:
            print(f"To go on: --after {report.last}", file=sys.stderr)
    return status


async def _check(options: argparse.Namespace, report: Report, resources: Resources) -> int:
    await require_head(resources.database)
    identity = StorageIdentity(resources.database, resources.storage)
    if options.adopt_storage:
        await identity.adopt()
    await identity.establish()
    check = ConsistencyCheck(
        resources.database,
        resources.storage,
        options.grace,
        checksums=options.checksums,
        after=options.after,
        cache=resources.cache,
    )
    status = await _compare(check, options, report)
    if not options.after:
        await _record(resources, report, is_thorough=options.checksums)
    return status


async def _record(resources: Resources, report: Report, *, is_thorough: bool) -> None:
    """Record what was found in the whole; what is found is no less true where that fails."""
    try:
        await record_fsck(resources.database, report.left, is_thorough=is_thorough)
    except DatabaseUnavailable as error:
        print(f"Not recorded: {reason(error)}", file=sys.stderr)


async def _compare(check: ConsistencyCheck, options: argparse.Namespace, report: Report) -> int:
    totals = await counted(check.totals())
    removals = Removals(totals.images, options.expect)
    total, unit = (totals.bytes, "B") if options.checksums else (totals.images, " images")
    with tqdm(total=total, unit=unit, unit_scale=options.checksums, disable=None) as bar:

        def progress(row: StoredFile) -> None:
            report.compared(row, with_bytes=options.checksums)
            bar.set_postfix(images=report.images, refresh=False)
            bar.update(row.size if options.checksums else 1)

        if options.repair:
            async for finding, is_repaired in repair(
                check,
                removals,
                progress,
                report.skip,
                delete_broken_rows=options.delete_broken_rows,
            ):
                report.add(finding, repaired=is_repaired)
        else:
            async for finding in check.find(progress, report.skip):
                report.add(finding, repaired=False)
    report.has_unlisted_uploads = check.has_unlisted_uploads
    report.end(with_bytes=options.checksums)
    if options.repair and not removals.are_expected:
        command = repair_command(removals.count, options, expect=True)
        print(
            f"Not repaired: {removals.count.total()} rows or files without a row would be removed, "
            f"{'a few' if options.expect is None else options.expect} were expected. If this is "
            f"the right database and the right storage, whole: {command}",
            file=sys.stderr,
        )
        return EXIT_NOT_REPAIRED
    if not options.repair:
        _advise(report, options, totals.images)
    return EXIT_FINDINGS if report.found else EXIT_CLEAN


def _advise(report: Report, options: argparse.Namespace, rows: int) -> None:
    """Print the commands that remove what was found."""
    count = {kind: sums["count"] for kind, sums in report.sums.items()}
    for delete_broken_rows, what in (
        (False, "files without a row, old staging files, stale thumbnails and wrong sums"),
        (True, "rows whose files cannot be found again, too"),
    ):
        kinds = removed_kinds(delete_broken_rows=delete_broken_rows)
        new = BROKEN_ROWS if delete_broken_rows else kinds | LEFTOVERS
        if any(count[kind] for kind in new):
            removals = Counter({kind: count[kind] for kind in kinds})
            command = repair_command(removals, options, expect=are_many(removals, rows))
            print(f"To remove {what}: {command}", file=sys.stderr)
