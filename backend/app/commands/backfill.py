"""The command that completes rows of earlier versions: `python -m app backfill`."""

from collections import Counter
from typing import Final

from tqdm import tqdm

from app.commands import runner
from app.commands.progress import counted
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.domain.image import IncompleteRow
from app.imaging.dimensions import configure_pillow
from app.services.backfill import Backfill, Outcome
from app.services.identity import StorageIdentity

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1


def run(settings: Settings) -> int:
    """Fill in what rows lack, and print what became of them.

    Returns:
        0 = every row was looked at, 1 = not all were; run again, it goes on where it stopped.
    """
    configure_pillow()
    return runner.run(settings, _backfill, "Not finished", EXIT_NOT_DONE)


async def _backfill(resources: Resources) -> int:
    count, size = Counter[Outcome](), Counter[Outcome]()
    await require_head(resources.database)
    await StorageIdentity(*resources).establish()
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
        if count:
            sums = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome]]
            print(f"{count.total()} images: {', '.join(sums)}")
    if not count:
        print("There is nothing to fill in")
    return EXIT_DONE
