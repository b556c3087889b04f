"""A worker: its jobs over its resources."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from app.composition.resources import open_resources
from app.composition.roles import COMMAND, WORKER
from app.config.settings import Settings
from app.database.revisions import watched_schema
from app.domain.errors import StorageError
from app.imaging.rendering.protocol import RenderLimits
from app.imaging.rendering.renderer import PROCESSES, Renderer
from app.jobs.cleanup import cleanup_task
from app.jobs.invalidation import invalidation_task
from app.jobs.rendering import rendering_task
from app.jobs.sharing import sharing_task
from app.jobs.user_deletion import user_deletion_task
from app.observability.observer import SILENT, Observer
from app.observability.reasons import reason
from app.queue.worker import QueueWorker
from app.server.worker import Worker
from app.services.changes import Changes
from app.services.deletion import Deletion
from app.services.identity import StorageIdentity
from app.services.readiness import Readiness
from app.services.removal import Removal
from app.services.rendering import Rendering
from app.services.sharing import ByteSharing
from app.services.user_deletion import UserDeletion

_log = logging.getLogger(__name__)


@asynccontextmanager
async def open_worker(settings: Settings, observer: Observer = SILENT) -> AsyncIterator[Worker]:
    """Open a worker; it takes no job before it is run.

    Args:
        settings: Those of the service.
        observer: Told what the worker does.
    """
    async with AsyncExitStack() as opened:
        resources = await opened.enter_async_context(open_resources(settings, WORKER, observer))
        database, storage, cache = resources
        if cache:
            cache.connect()
        readiness = Readiness(database, storage, StorageIdentity(database, storage), cache)
        opened.push_async_callback(readiness.close)
        try:
            await readiness.prepare_storage()
        except StorageError as error:
            _log.error("the image storage cannot be used yet: %s", reason(error))
        await opened.enter_async_context(watched_schema(database))
        without_deadlines = await opened.enter_async_context(
            open_resources(settings, COMMAND, observer)
        )
        tasks = [cleanup_task(without_deadlines.database, without_deadlines.storage)]
        changes = Changes(database, cache)
        # Nobody is answered that the images are gone, so no lease of a proxy is waited for.
        deletion = UserDeletion(
            database, changes, Deletion(changes, Removal(storage), observer), storage
        )
        tasks.append(user_deletion_task(deletion))
        tasks.append(sharing_task(ByteSharing(database, storage)))
        if cache:
            tasks.append(invalidation_task(changes))
        if settings.thumbnail_sizes:
            renderer = _make_renderer(settings, observer)
            opened.push_async_callback(renderer.close)
            rendering = Rendering(database, storage, renderer, cache)
            opened.push_async_callback(rendering.close)
            tasks.append(rendering_task(rendering))
        queue = QueueWorker(database, tasks, PROCESSES, readiness.suspect, observer)
        yield Worker(queue, readiness)


def _make_renderer(settings: Settings, observer: Observer) -> Renderer:
    limits = RenderLimits(
        settings.render_memory_mb, settings.render_timeout_seconds, settings.max_pixels
    )
    return Renderer(limits, settings.thumbnail_sizes, observer=observer)
