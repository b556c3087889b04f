"""The command that completes rows of earlier versions: `python -m app backfill`."""

import asyncio
import sys
from collections import Counter
from contextlib import ExitStack
from typing import Final

from tqdm import tqdm

from app.commands.progress import counted
from app.composition import open_storage
from app.config.settings import Settings
from app.database.embedded import EmbeddedDatabaseError, shared_postgres
from app.database.engine import Database
from app.database.revisions import SchemaError, require_head
from app.domain.errors import DatabaseUnavailable, StorageError
from app.imaging.dimensions import configure_pillow
from app.observability.reasons import reason
from app.services.backfill import Backfill, Outcome
from app.services.identity import StorageIdentity, WrongStorage
from app.statements.backfill import IncompleteRow

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1


def run(settings: Settings) -> int:
    """Fill in what rows lack, and say what became of them.

    Returns:
        0 = all was gone through, 1 = it was not; run again, it goes on where it stopped.
    """
    configure_pillow()
    try:
        with ExitStack() as opened:
            url = settings.database_url.get_secret_value() or opened.enter_context(
                shared_postgres(settings.data_dir / "postgres")
            )
            asyncio.run(_backfill(Database(url, maintenance=True), settings))
    except DatabaseUnavailable as error:
        print(f"Not finished: {reason(error)}", file=sys.stderr)
        return EXIT_NOT_DONE
    except (EmbeddedDatabaseError, SchemaError, WrongStorage) as error:
        print(f"Not finished: {error}", file=sys.stderr)
        return EXIT_NOT_DONE
    except StorageError as error:
        print(f"Not finished: {error} ({reason(error)})", file=sys.stderr)
        return EXIT_NOT_DONE
    return EXIT_DONE


async def _backfill(database: Database, settings: Settings) -> None:
    count, size = Counter[Outcome](), Counter[Outcome]()
    storage = open_storage(settings)
    try:
        await require_head(database)
        await StorageIdentity(database, storage).establish()
        backfill = Backfill(database, storage)
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
        await storage.close()
        await database.close()
        if count:
            told = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome]]
            print(f"{count.total()} images: {', '.join(told)}")
    if not count:
        print("There is nothing to fill in")
