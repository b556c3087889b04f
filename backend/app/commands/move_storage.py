"""The command that moves all files to another storage: `python -m app move-storage`."""

import argparse
import sys
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Final

from tqdm import tqdm

from app.commands import runner
from app.commands.progress import counted
from app.composition.resources import Resources
from app.config.settings import Settings
from app.config.storage_url import LOCAL, are_one_place, storage_place
from app.database.revisions import require_head
from app.services.copying import FAILED, Outcome
from app.services.identity import StorageIdentity
from app.services.move_record import MoveInProgress, MoveRecord, move_record
from app.services.moving import Move, TooManyFailures
from app.storage.abilities import Moving
from app.storage.base import ObjectInfo

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Copy and compare everything; print what became of it.

    Returns:
        0 = the destination has every file, verified, 1 = it has not; run again, it goes on.
    """
    source, destination = options.source, options.destination
    both = {"storage_url": destination, "storage_previous_url": source}
    is_copy = are_one_place(settings.storage_url, source)
    if are_one_place(source, destination) or not (is_copy or _are_set(settings, both)):
        print(f"Not moved: {_advice(source, destination)}", file=sys.stderr)
        return EXIT_NOT_DONE
    places = [str(storage_place(url)) for url in (source, destination)]
    try:
        with move_record(settings.data_dir / "moves", *places) as record:
            work = partial(_move, record, is_copy=is_copy)
            return runner.run(settings.model_copy(update=both), work, "Not moved", EXIT_NOT_DONE)
    except (MoveInProgress, TooManyFailures) as error:
        print(f"Not moved: {error}", file=sys.stderr)
    except OSError as error:
        print(f"Not moved: its record cannot be kept: {error}", file=sys.stderr)
    return EXIT_NOT_DONE


async def _move(record: MoveRecord, resources: Resources, *, is_copy: bool) -> int:
    database, storage, _ = resources
    assert isinstance(storage, Moving)  # noqa: S101 - opened with both
    await require_head(database)
    identity = StorageIdentity(database, storage)
    await identity.establish()
    move = Move(database, storage.source, storage.destination, identity, record)
    totals = await counted(move.count(), "files")
    count, size, late = Counter[Outcome](), Counter[Outcome](), 0
    try:
        with tqdm(total=totals.bytes, unit="B", unit_scale=True, disable=None) as bar:

            def progress(file: ObjectInfo, outcome: Outcome, number: int) -> None:
                nonlocal late
                count[outcome] += 1
                size[outcome] += file.size
                late += number > 1
                bar.set_postfix_str(f"{count.total()} of {totals.objects} files", refresh=False)
                bar.update(file.size)
                if outcome in FAILED:
                    tqdm.write(f"{outcome}: {file.key}")

            is_done = await move.run(progress, is_copy=is_copy)
    finally:
        _print_sums(count, size)
    if late:
        print(
            f"{late} files appeared in the source after it was listed: make sure that every "
            "process has the new settings.",
        )
    if not is_done:
        print(
            "Not done: what is named above is damaged in the source. Restore it there from a "
            'backup, or remove the images (`make fsck ARGS="--checksums"`), and run this again.',
            file=sys.stderr,
        )
        return EXIT_NOT_DONE
    print(_what_next(storage, is_copy=is_copy))
    return EXIT_DONE


def _what_next(storage: Moving, *, is_copy: bool) -> str:
    source, destination = storage.source.location, storage.destination.location
    if is_copy:
        return f"Copied: {destination} has every file that {source} had, verified."
    return (
        f"Moved: {destination} has every file of {source}, verified. Now restart every process "
        f"without STORAGE_PREVIOUS_URL. {source} is as it was: rename it, so that no process with "
        "old settings uses it, and delete it once there is a backup of the new storage."
    )


def _print_sums(count: Counter[Outcome], size: Counter[Outcome]) -> None:
    if count:
        sums = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome]]
        print(f"{count.total()} files ({size.total() / 1e6:.1f} MB): {', '.join(sums)}")


def _are_set(settings: Settings, both: Mapping[str, str]) -> bool:
    return all(are_one_place(getattr(settings, name), url) for name, url in both.items())


def _advice(source: str, destination: str) -> str:
    """Return why there is nothing that could be moved now, and what to do."""
    if are_one_place(source, destination):
        return "--from and --to are the same."
    url = "" if destination == LOCAL else destination
    return (
        f"set STORAGE_URL='{url}' and STORAGE_PREVIOUS_URL='{source}' for this command and for the "
        "service, and restart that, so that it uses both storages."
    )
