"""The job that deletes a user; its subject is the user's id."""

from typing import Final
from uuid import UUID

from app.domain.job import DELETE_USER
from app.queue.task import Task
from app.services.user_deletion import SLICE_SECONDS, UserDeletion

SECONDS: Final = SLICE_SECONDS + 60.0
"""For the last step, which waits for the disk."""


def user_deletion_task(deletion: UserDeletion) -> Task:
    """Return the task that deletes users."""

    async def run(subject: str) -> None:
        await deletion.run(UUID(subject))

    return Task(DELETE_USER, run, set_aside=None, seconds=SECONDS)
