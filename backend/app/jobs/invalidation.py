"""The job that invalidates what the cache has of an image; its subject is the image's id."""

from typing import Final
from uuid import UUID

from app.domain.job import INVALIDATE
from app.queue.task import Task
from app.services.changes import Changes

SECONDS: Final = 10.0


def invalidation_task(changes: Changes) -> Task:
    """Return the task that does what a change could not."""

    async def run(subject: str) -> None:
        await changes.invalidate(UUID(subject))

    return Task(INVALIDATE, run, set_aside=None, seconds=SECONDS)
