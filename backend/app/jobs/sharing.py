"""The job that lets a file share the bytes of an equal one; its subject is the image's id."""

from typing import Final
from uuid import UUID

from app.domain.job import SHARE
from app.queue.task import Task
from app.services.sharing import ByteSharing

SECONDS: Final = 120.0
"""For two files of any size on a slow disk, and then for two others."""


def sharing_task(sharing: ByteSharing) -> Task:
    """Return the task over a database and its storage."""

    async def run(subject: str) -> None:
        await sharing.share(UUID(subject))

    return Task(SHARE, run, set_aside=None, seconds=SECONDS)
