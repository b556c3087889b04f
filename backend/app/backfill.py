"""The command that measures pictures of before: `python -m app backfill-dimensions`."""

import asyncio
import sys
from collections import Counter
from contextlib import ExitStack
from typing import Final

from tqdm import tqdm

from app.config import Settings
from app.database import Database
from app.dimensions import configure_pillow
from app.embedded import EmbeddedDatabaseError, shared_postgres
from app.errors import DatabaseUnavailable, StorageError
from app.main import open_storage
from app.migrations import SchemaError, require_head
from app.services.backfill import DimensionsBackfill, Outcome

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1


def run(settings: Settings) -> int:
    """Measure what has not been measured, and say what became of it.

    Returns:
        0 = all was gone through, 1 = it was not; run again, it goes on where it stopped.
    """
    configure_pillow()
    try:
        with ExitStack() as opened:
            url = settings.database_url.get_secret_value() or opened.enter_context(
                shared_postgres(settings.data_dir / "postgres")
            )
            asyncio.run(_backfill(Database(url), settings))
    except (EmbeddedDatabaseError, SchemaError, DatabaseUnavailable, StorageError) as error:
        print(f"Not finished: {error}", file=sys.stderr)
        return EXIT_NOT_DONE
    return EXIT_DONE


async def _backfill(database: Database, settings: Settings) -> None:
    count = Counter[Outcome]()
    storage = open_storage(settings)
    try:
        await require_head(database)
        backfill = DimensionsBackfill(database, storage)
        with tqdm(total=await backfill.count(), unit=" images", disable=None) as bar:

            def progress(key: str, outcome: Outcome) -> None:
                count[outcome] += 1
                bar.update()
                if outcome is Outcome.FILE_MISSING:
                    tqdm.write(f"no file {key}; `make fsck` lists all that are missing")

            await backfill.run(progress)
    finally:
        await storage.close()
        await database.close()
        if count:
            told = [f"{count[outcome]} {outcome}" for outcome in Outcome if count[outcome]]
            print(f"{count.total()} images: {', '.join(told)}")
    if not count:
        print("There is nothing to measure")
