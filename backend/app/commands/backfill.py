"""The command that completes images of earlier versions: `python -m app backfill`."""

import sys
from collections import Counter
from collections.abc import Sequence
from enum import StrEnum
from functools import partial
from typing import Final, TypeVar

from tqdm import tqdm

from app.commands import runner
from app.commands.progress import counted
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.domain.image import IncompleteRow
from app.imaging.dimensions import configure_pillow
from app.services.backfill import Backfill, Outcome
from app.services.backfill_search import SearchBackfill
from app.services.backfill_thumbnails import NoWorker, RenderOutcome, ThumbnailBackfill
from app.services.identity import StorageIdentity
from app.services.sharing import ByteSharing
from app.storage.abilities import Sharing

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1

_SHARING: Final = {
    Sharing.DONE: "files share the bytes of equal ones since this run",
    Sharing.DIFFERENT: "files are not as others that had the same checksum when they were "
    "uploaded: see `make fsck ARGS=--checksums`",
    Sharing.IMPOSSIBLE: "files take space of their own, for this file system lets no equal ones "
    "share it",
}

_Outcome = TypeVar("_Outcome", bound=StrEnum)


def run(settings: Settings) -> int:
    """Make terms, fill in what else rows lack, let equal files share, render; print the outcomes.

    Returns:
        0 = every image was looked at, 1 = not all were; run again, it goes on where it stopped.
    """
    configure_pillow()
    work = partial(_backfill, settings.thumbnail_sizes)
    return runner.run(settings, work, "Not finished", EXIT_NOT_DONE)


async def _backfill(thumbnail_sizes: Sequence[int], resources: Resources) -> int:
    await require_head(resources.database)
    await StorageIdentity(resources.database, resources.storage).establish()
    searchable = await _make_searchable(SearchBackfill(resources.database))
    filled_in = await _fill_in(resources)
    shared = await _share(ByteSharing(resources.database, resources.storage))
    if not searchable and not filled_in and not shared:
        print("There is nothing to fill in")
    if not thumbnail_sizes:
        return EXIT_DONE
    return await _render(ThumbnailBackfill(resources.database, thumbnail_sizes))


async def _make_searchable(backfill: SearchBackfill) -> int:
    """Return how many images can be searched for since."""
    total, count = await counted(backfill.count()), 0
    if not total:
        return 0
    try:
        with tqdm(desc="Search", total=total, unit=" images", disable=None) as bar:

            def progress(made: int) -> None:
                nonlocal count
                count += made
                bar.update(made)

            await backfill.run(progress)
    finally:
        if count:
            print(f"{count} images can be searched for since this run")
    return count


async def _fill_in(resources: Resources) -> int:
    """Return how many images lacked something."""
    count, size = Counter[Outcome](), Counter[Outcome]()
    backfill = Backfill(*resources)
    try:
        with tqdm(total=await counted(backfill.count()), unit=" images", disable=None) as bar:

            def progress(row: IncompleteRow, outcome: Outcome) -> None:
                count[outcome] += 1
                size[outcome] += row.file_size
                bar.set_postfix_str(f"{size.total() / 1e6:.0f} MB", refresh=False)
                bar.update()
                if outcome is Outcome.FILE_MISSING:
                    tqdm.write(f"no file {row.key}; `make fsck` lists all that are missing")

            await backfill.run(progress)
    finally:
        _print_sums(count, Outcome)
    return count.total()


async def _share(sharing: ByteSharing) -> int:
    """Return of how many images something was done or said."""
    total, count = await counted(sharing.count()), Counter[Sharing]()
    if not total:
        return 0
    try:
        with tqdm(desc="Equal files", total=total, unit=" images", disable=None) as bar:

            def progress(outcome: Sharing | None) -> None:
                count.update([outcome] if outcome else [])
                bar.update()

            await sharing.run(progress)
    finally:
        for outcome, words in _SHARING.items():
            if count[outcome]:
                print(f"{count[outcome]} {words}")
    return sum(count[outcome] for outcome in _SHARING)


async def _render(backfill: ThumbnailBackfill) -> int:
    count = Counter[RenderOutcome]()
    total = await counted(backfill.count())
    try:
        with tqdm(desc="Rendering", total=total, unit=" images", disable=None) as bar:

            def progress(outcomes: Counter[RenderOutcome]) -> None:
                count.update(outcomes)
                bar.update(outcomes.total())

            await backfill.run(progress)
    except NoWorker as error:
        left = total - count.total()
        print(f"Not finished: {left} images are to be rendered, and {error}", file=sys.stderr)
        return EXIT_NOT_DONE
    finally:
        _print_sums(count, RenderOutcome)
    if left := count[RenderOutcome.LEFT]:
        print(
            f"Not finished: workers left {left} images as they were. Their THUMBNAIL_SIZES may be "
            "others than those of this command; `make jobs ARGS=failed` lists what has failed.",
            file=sys.stderr,
        )
        return EXIT_NOT_DONE
    return EXIT_DONE


def _print_sums(count: Counter[_Outcome], outcomes: type[_Outcome]) -> None:
    if total := count.total():
        sums = [f"{count[outcome]} {outcome}" for outcome in outcomes if count[outcome]]
        print(f"{total} images: {', '.join(sums)}")
