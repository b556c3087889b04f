"""The nightly job that removes what was left behind."""

from typing import Final

from app.database.engine import Database
from app.domain.job import CLEANUP
from app.queue.task import Task
from app.services.cleanup import CleanUp
from app.storage.base import StorageBackend

AT: Final = "17 3 * * *"
"""When few people are awake, and not at the full hour, when everything else is run."""
SECONDS: Final = 20 * 3600.0
"""Less than a day; a million images on a slow disk take hours."""


def cleanup_task(database: Database, storage: StorageBackend) -> Task:
    """Return the task over a database and its storage."""
    clean_up = CleanUp(database, storage)

    async def run(_subject: str) -> None:
        await clean_up.run()

    return Task(CLEANUP, run, set_aside=None, seconds=SECONDS, cron=AT)
