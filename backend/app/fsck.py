"""The command that compares rows and files: `python -m app fsck`."""

import argparse
import asyncio
import json
import re
import sys
from collections import Counter
from contextlib import ExitStack
from datetime import timedelta
from typing import Final

from tqdm import tqdm

from app.config import Settings
from app.database import Database
from app.embedded import EmbeddedDatabaseError, shared_postgres
from app.errors import DatabaseUnavailable, StorageError
from app.main import open_storage
from app.reasons import reason
from app.services.consistency import ConsistencyCheck, Finding, Kind

EXIT_CLEAN: Final = 0
EXIT_FINDINGS: Final = 1
EXIT_NOT_CHECKED: Final = 2

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    parser.add_argument(
        "--repair", action="store_true", help="remove files without a row and old staging files"
    )
    parser.add_argument(
        "--delete-broken-rows",
        action="store_true",
        help="with --repair: also remove rows whose file is missing or has another size",
    )
    parser.add_argument(
        "--grace",
        type=_duration,
        default=timedelta(hours=24),
        metavar="TIME",
        help="leave files alone that are younger, such as 90s, 30m, 24h (the default) or 7d",
    )
    parser.add_argument("--json", action="store_true", help="report as one JSON document")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Compare, report, and repair if asked to.

    Returns:
        0 = rows and files agree, 1 = they did not, 2 = that could not be told.
    """
    try:
        with ExitStack() as opened:
            url = settings.database_url.get_secret_value() or opened.enter_context(
                shared_postgres(settings.data_dir / "postgres")
            )
            report = _JsonReport() if options.json else _TextReport()
            return asyncio.run(_check(Database(url), settings, options, report))
    except DatabaseUnavailable as error:
        print(f"Not checked: {reason(error)}", file=sys.stderr)
        return EXIT_NOT_CHECKED
    except EmbeddedDatabaseError as error:
        print(f"Not checked: {error}", file=sys.stderr)
        return EXIT_NOT_CHECKED
    except StorageError as error:
        print(f"Not checked: {error} ({reason(error)})", file=sys.stderr)
        return EXIT_NOT_CHECKED


async def _check(
    database: Database, settings: Settings, options: argparse.Namespace, report: "_Report"
) -> int:
    try:
        check = ConsistencyCheck(database, open_storage(settings), options.grace)
        rows = await check.count_rows()
        with tqdm(total=rows, unit=" images", disable=None) as bar:

            def progress() -> None:
                report.images += 1
                bar.update()

            async for finding in check.find(progress):
                repaired = options.repair and await check.repair(
                    finding, delete_broken_rows=options.delete_broken_rows
                )
                report.add(finding, repaired=repaired)
        report.end()
    finally:
        await database.close()
    return EXIT_FINDINGS if report.found else EXIT_CLEAN


class _Report:
    """Writes each finding as it comes, and the sums at the end."""

    def __init__(self) -> None:
        self.images = 0
        self.found = 0
        self._count = Counter[Kind]()
        self._bytes = Counter[Kind]()
        self._repaired = Counter[Kind]()

    def add(self, finding: Finding, *, repaired: bool) -> None:
        self._write(finding, repaired=repaired)
        self.found += 1
        self._count[finding.kind] += 1
        self._bytes[finding.kind] += finding.size
        self._repaired[finding.kind] += repaired

    def end(self) -> None:
        raise NotImplementedError

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        raise NotImplementedError


class _TextReport(_Report):
    def end(self) -> None:
        for kind in Kind:
            print(
                f"{kind}: {self._count[kind]} ({self._bytes[kind]} bytes), "
                f"{self._repaired[kind]} repaired"
            )
        print(f"{self.images} images compared: {self.found or 'no'} findings")

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        done = ", repaired" if repaired else ""
        tqdm.write(f"{finding.kind} {finding.key} ({finding.size} bytes){done}")


class _JsonReport(_Report):
    """One document, written piece by piece, because there may be a million findings."""

    def end(self) -> None:
        sums = {
            kind: {
                "count": self._count[kind],
                "bytes": self._bytes[kind],
                "repaired": self._repaired[kind],
            }
            for kind in Kind
        }
        begin = "" if self.found else '{"findings": ['
        print(f'{begin}], "images": {self.images}, "sums": {json.dumps(sums)}}}')

    def _write(self, finding: Finding, *, repaired: bool) -> None:
        begin = ", " if self.found else '{"findings": ['
        item = {"kind": finding.kind, "key": finding.key, "bytes": finding.size}
        print(f"{begin}{json.dumps(item | {'repaired': repaired})}")


def _duration(text: str) -> timedelta:
    found = re.fullmatch(r"([0-9]{1,9})([smhd]?)", text)
    if not found:
        raise argparse.ArgumentTypeError(f"{text!r} is no time such as 90s, 30m, 24h or 7d")
    return timedelta(seconds=int(found[1]) * _SECONDS[found[2]])
