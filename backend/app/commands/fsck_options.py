"""The options of `fsck`: as a person gives them, and as the command suggests them."""

import argparse
import re
from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Final

from app.services.fsck_findings import BROKEN_ROWS, GRACE, Kind

_SECONDS: Final = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    flag = partial(parser.add_argument, action="store_true")
    flag(
        "--checksums",
        help="also read every file, and compare it with the checksum taken at its upload",
    )
    parser.add_argument(
        "--after",
        default="",
        metavar="KEY",
        help="go on after this storage key, the last that an interrupted run compared",
    )
    flag(
        "--repair",
        help="remove files without a row, old staging files and stale thumbnails; correct what "
        "users are recorded to use (wrong-use)",
    )
    flag(
        "--delete-broken-rows",
        help="with --repair: also remove rows whose file is missing, of another size or corrupt",
    )
    parser.add_argument(
        "--expect",
        type=int,
        metavar="NUMBER",
        help="with --repair: how many rows and files without a row to remove, where these are more "
        "than a few; a run without --repair counts them",
    )
    parser.add_argument(
        "--grace",
        type=_duration,
        default=GRACE,
        metavar="TIME",
        help="leave files alone that are younger, such as 90s, 30m, 24h (the default) or 7d",
    )
    flag(
        "--adopt-storage",
        help="first mark the storage as that of this database, whatever it was before",
    )
    flag("--json", help="report as one JSON document")


def repair_command(removals: Counter[Kind], options: argparse.Namespace, *, expect: bool) -> str:
    """Return the command that repairs what a run with these options found.

    Args:
        removals: What it removes.
        options: Of the run.
        expect: Whether their number must be confirmed.
    """
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
