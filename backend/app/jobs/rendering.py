"""The job that renders an image; its subject is the image's id."""

from uuid import UUID

from app.domain.job import RENDER
from app.queue.task import Task
from app.services.rendering import Rendering


def rendering_task(rendering: Rendering) -> Task:
    """Return the task that renders images."""

    async def run(subject: str) -> None:
        await rendering.render(UUID(subject))

    async def set_aside(subject: str, why: str) -> None:
        await rendering.set_aside(UUID(subject), why)

    return Task(RENDER, run, set_aside, rendering.seconds)
