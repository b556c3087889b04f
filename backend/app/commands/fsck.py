"""The command that compares rows and files: `python -m app fsck`."""

import argparse
import asyncio
import re
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

from tqdm import tqdm

from app.commands.fsck_reports import JsonReport, Report, TextReport
from app.commands.progress import counted
from app.composition import open_storage
from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, shared_postgres
from app.database.engine import Database
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable, StorageError
from app.domain.image import StoredFile
from app.observability.reasons import reason
from app.services.findings import BROKEN_ROWS, Kind
from app.services.fsck import ConsistencyCheck
from app.services.identity import StorageIdentity, WrongStorage
from app.services.removals import Removals, are_many, removed_kinds
from app.storage.base import StorageBackend

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_NOT_CHECKED: Final = 2
EXIT_NOT_REPAIRED: Final = 3

GRACE: Final = timedelta(hours=24)

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument(
        "--checksums",
        action="store_true",
        help="also read every file, and compare it with the checksum taken at its upload",
    )
    parser.add_argument(
        "--after",
        default="",
        metavar="KEY",
        help="go on after this storage key, where a run that was stopped had come to",
    )
    parser.add_argument(
        "--repair", action="store_true", help="remove files without a row and old staging files"
    )
    parser.add_argument(
        "--delete-broken-rows",
        action="store_true",
        help="with --repair: also remove rows whose file is missing, of another size or corrupt",
    )
    parser.add_argument(
        "--expect",
        type=int,
        metavar="NUMBER",
        help="with --repair: how many rows and files without a row are to be removed, where these "
        "are more than a few; a run without --repair tells it",
    )
    parser.add_argument(
        "--grace",
        type=_duration,
        default=GRACE,
        metavar="TIME",
        help="leave files alone that are younger, such as 90s, 30m, 24h (the default) or 7d",
    )
    parser.add_argument(
        "--adopt-storage",
        action="store_true",
        help="first mark the storage as that of this database, whatever it was before",
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON document")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Compare, report, and repair if asked to.

    Returns:
        0 = rows and files agree, 1 = they did not, 2 = that could not be told, 3 = they did not,
        and a repair would have removed another number than was expected, so nothing was repaired.
    """
    report = (JsonReport if options.json else TextReport)()
    try:
        with ExitStack() as opened:
            url = settings.database_url.get_secret_value() or opened.enter_context(
                shared_postgres(settings.data_dir / "postgres")
            )
            return asyncio.run(
                _check(Database(url, maintenance=True), open_storage(settings), options, report)
            )
    except (EmbeddedDatabaseError, SchemaError, WrongStorage) as error:
        print(f"Not checked: {error}", file=sys.stderr)
    except DatabaseUnavailable as error:
        print(f"Not checked: {reason(error)}", file=sys.stderr)
    except StorageError as error:
        print(f"Not checked: {error} ({reason(error)})", file=sys.stderr)
    except KeyboardInterrupt:
        _say_how_to_go_on(options, report)
        raise
    _say_how_to_go_on(options, report)
    return EXIT_NOT_CHECKED


def _say_how_to_go_on(options: argparse.Namespace, report: Report) -> None:
    if options.checksums and report.last:
        print(f"To go on: --after {report.last}", file=sys.stderr)


async def _check(
    database: Database, storage: StorageBackend, options: argparse.Namespace, report: Report
) -> int:
    try:
        await require_head(database)
        identity = StorageIdentity(database, storage)
        if options.adopt_storage:
            await identity.adopt()
        await identity.establish()
        check = ConsistencyCheck(
            database,
            storage,
            options.grace,
            checksums=options.checksums,
            after=options.after,
        )
        return await _compare(check, options, report)
    finally:
        await storage.close()
        await database.close()


async def _compare(check: ConsistencyCheck, options: argparse.Namespace, report: Report) -> int:
    totals = await counted(check.totals())
    removals = Removals(totals.images, options.expect)
    kinds = removed_kinds(delete_broken_rows=options.delete_broken_rows)
    total, unit = (totals.bytes, "B") if options.checksums else (totals.images, " images")
    with tqdm(total=total, unit=unit, unit_scale=options.checksums, disable=None) as bar:

        def progress(row: StoredFile) -> None:
            report.compared(row, with_bytes=options.checksums)
            bar.set_postfix(images=report.images, refresh=False)
            bar.update(row.size if options.checksums else 1)

        async for finding in check.find(progress, report.skip):
            if options.repair and finding.kind in kinds:
                for given_up in removals.hold(finding):
                    report.add(given_up, repaired=False)
            else:
                is_nobodys = options.repair and finding.kind is Kind.OLD_STAGING_FILE
                repaired = is_nobodys and await check.repair(finding, delete_broken_rows=False)
                report.add(finding, repaired=repaired)
        for finding in removals.held:
            repaired = removals.are_expected and await check.repair(
                finding, delete_broken_rows=options.delete_broken_rows
            )
            report.add(finding, repaired=repaired)
    report.end(with_bytes=options.checksums)
    if options.repair and not removals.are_expected:
        command = _repair_command(removals.count, options, expect=True)
        print(
            f"Not repaired: {removals.count.total()} rows or files without a row would be removed, "
            f"{'a few' if options.expect is None else options.expect} were expected. If this is "
            f"the right database and the right folder, whole: {command}",
            file=sys.stderr,
        )
        return EXIT_NOT_REPAIRED
    if not options.repair:
        _advise(report.count, options, totals.images)
    return EXIT_FINDINGS if report.found else EXIT_CLEAN


def _advise(count: Counter[Kind], options: argparse.Namespace, rows: int) -> None:
    """Say with which command what was found can be removed."""
    for delete_broken_rows, what in (
        (False, "files without a row and old staging files"),
        (True, "rows whose files cannot be found again, too"),
    ):
        kinds = removed_kinds(delete_broken_rows=delete_broken_rows)
        new = BROKEN_ROWS if delete_broken_rows else kinds | {Kind.OLD_STAGING_FILE}
        if any(count[kind] for kind in new):
            removals = Counter({kind: count[kind] for kind in kinds})
            command = _repair_command(removals, options, expect=are_many(removals, rows))
            print(f"To remove {what}: {command}", file=sys.stderr)


def _repair_command(removals: Counter[Kind], options: argparse.Namespace, *, expect: bool) -> str:
    arguments = ["--repair"]
    if any(removals[kind] for kind in BROKEN_ROWS):
        arguments.append("--delete-broken-rows")
    if options.checksums:
        arguments.append("--checksums")
    if options.grace != GRACE:
        arguments.append(f"--grace {options.grace.total_seconds():.0f}s")
    if options.after:
        arguments.append(f"--after {options.after}")
    if expect:
        arguments.append(f"--expect {removals.total()}")
    return f'make fsck ARGS="{" ".join(arguments)}"'


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 24h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
