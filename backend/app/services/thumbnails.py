"""Finding the thumbnails of images, and having those rendered that somebody waits for.

A worker renders them; what it has done is seen in the image's row.
"""

import asyncio
from collections.abc import Sequence
from contextvars import Context
from dataclasses import dataclass
from time import monotonic
from typing import Final, NamedTuple
from uuid import UUID

from app.domain.errors import (
    DatabaseUnavailable,
    ImageNotFound,
    ImageNotRenderable,
    ThumbnailNotReady,
    UnknownThumbnailSize,
)
from app.domain.filenames import with_extension
from app.domain.image import Image
from app.domain.job import RENDER, NewJob, Priority
from app.domain.thumbnails import CONTENT_TYPE, EXTENSION, thumbnail_key, thumbnail_keys
from app.observability.logs import trace_id
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.services.changes import Changes
from app.services.files import ANYBODY, HotFile, ImageFiles, Viewer, original_of
from app.services.images import Images
from app.statements.jobs import insert_jobs
from app.statements.rendering import clear_renditions
from app.storage.base import StorageBackend

WAIT_SECONDS: Final = 5.0
"""How long one client waits for a thumbnail."""
POLL_SECONDS: Final = 0.1
"""How long a rendering may be over before it is noticed."""
DRAIN_SECONDS: Final = 1.0
"""How long jobs may take that are not inserted when the service ends."""
MOST_WAITS: Final = 200
"""Thumbnails that clients may wait for at once: as many rows as one statement looks up."""


class _Request(NamedTuple):
    """A rendering that somebody waits for."""

    image: Image
    is_lost: bool
    """Whether a thumbnail that the row names is missing."""
    trace_id: str
    """Of the request that waits."""


@dataclass
class _Wait:
    """One wait for a thumbnail, which all clients share that ask for it."""

    thumbnail: asyncio.Task[HotFile]
    clients: int = 0


class Thumbnails:
    """The thumbnails of images.

    Args:
        changes: Opens the transactions in which rows and jobs are written.
        storage: Where the files are.
        images: Finds the rows.
        files: Remembers and opens the files.
        sizes: Longest sides of the thumbnails that there are, in pixels.
    """

    def __init__(  # noqa: PLR0913 - what it finds them with, and where
        self,
        changes: Changes,
        storage: StorageBackend,
        images: Images,
        files: ImageFiles,
        sizes: Sequence[int],
        *,
        observer: Observer = SILENT,
    ) -> None:
        self._changes = changes
        self._storage = storage
        self._images = images
        self._files = files
        self._sizes = {str(size): size for size in sizes}
        self._requests = Batcher(
            "thumbnails", self._insert, refusal=DatabaseUnavailable, observer=observer
        )
        self._waits: dict[tuple[UUID, str], _Wait] = {}

    async def find(self, image_id: UUID, size: str, viewer: Viewer = ANYBODY) -> HotFile | None:
        """Return a thumbnail, maybe from memory; None if it must be rendered first.

        As with `ImageFiles.find`, it must be opened before anything is said of it.

        Raises:
            UnknownThumbnailSize: If `size` is not one of the sizes, in decimal digits.
            ImageNotRenderable: If there can be none.
            ImageNotFound: If there is no image with this id that the viewer may fetch.
            DatabaseUnavailable: If the database cannot be asked.
            StorageUnavailable: If it cannot be found out whether its file is there.
        """
        known = self._files.hot.get((image_id, size))
        if known and (known.is_public or await viewer.may_fetch(known)):
            return known
        if size not in self._sizes:
            raise UnknownThumbnailSize([*self._sizes.values()])
        asked_at = monotonic()
        image = await self._images.get(image_id)
        if not (image.is_public or await viewer.may_fetch(original_of(image))):
            raise ImageNotFound(image_id)
        return await self._current(image, size, asked_at)

    async def render(self, image_id: UUID, size: str, viewer: Viewer = ANYBODY) -> HotFile:
        """Return a thumbnail that `find` has not found, once a worker has rendered it.

        However many ask at once, one rendering is asked for. It goes on if they leave.

        Raises:
            ImageNotFound: If the viewer may not fetch it, or not any more.
            ThumbnailNotReady: If that takes too long, or too many thumbnails are waited for.
            ImageHostError: As `find`.
        """
        # What `find` has found may have been a public image, and be a private one by this time.
        image = await self._images.get_stored(image_id)
        if not (image.is_public or await viewer.may_fetch(original_of(image))):
            raise ImageNotFound(image_id)
        name = image_id, size
        wait = self._waits.get(name)
        if wait is None:
            if len(self._waits) >= MOST_WAITS:
                raise ThumbnailNotReady(f"{MOST_WAITS} thumbnails are waited for already")
            # It serves many requests, so it logs under the id of none.
            rendered = self._wait(image_id, size, trace_id.get())
            task = asyncio.create_task(rendered, context=Context())
            wait = self._waits[name] = _Wait(task)
        wait.clients += 1
        try:
            async with asyncio.timeout(WAIT_SECONDS):
                thumbnail = await asyncio.shield(wait.thumbnail)
        except TimeoutError as error:
            waited = f"image {image_id}: no worker has rendered it within {WAIT_SECONDS:g} s"
            raise ThumbnailNotReady(waited) from error
        finally:
            wait.clients -= 1
            if not wait.clients:
                del self._waits[name]
                wait.thumbnail.cancel()
        if not (thumbnail.is_public or await viewer.may_fetch(thumbnail)):
            raise ImageNotFound(image_id)
        return thumbnail

    async def close(self) -> None:
        """Wait until the jobs that were asked for are inserted, for a moment."""
        await self._requests.drain(DRAIN_SECONDS)

    async def _wait(self, image_id: UUID, size: str, trace: str) -> HotFile:
        """Ask for a rendering, as part of a trace, and wait for it, until cancelled."""
        is_requested = False
        while True:
            asked_at = monotonic()
            image = await self._images.get_stored(image_id)
            if thumbnail := await self._current(image, size, asked_at):
                return thumbnail
            is_lost = self._sizes[size] in (image.thumbnail_sizes or ())
            if is_lost:
                # Before the row stops naming them: a delete removes only what the row names.
                for key in thumbnail_keys(
                    image.storage_key, image.thumbnail_sizes, image.rendered_at
                ):
                    await self._storage.delete(key)
            if is_lost or not is_requested:
                await self._requests.submit(_Request(image, is_lost, trace))
                is_requested = True
            await asyncio.sleep(POLL_SECONDS)

    async def _current(self, image: Image, size: str, asked_at: float) -> HotFile | None:
        """Return the thumbnail that a row names; None if it names none, or its file is lost."""
        pixels = self._sizes[size]
        if image.rendered_at is None or pixels not in (image.thumbnail_sizes or ()):
            if image.render_error:
                raise ImageNotRenderable(image.render_error)
            return None
        key = thumbnail_key(image.storage_key, pixels, image.rendered_at)
        file_size = await self._files.size_of(key)
        if file_size is None:
            return None
        thumbnail = HotFile(
            image.id,
            key,
            with_extension(image.filename, (EXTENSION,)),
            CONTENT_TYPE,
            file_size,
            image.rendered_at,
            is_thumbnail=True,
            is_renamed=image.updated_at is not None,
            is_public=image.is_public,
            owner_id=image.owner_id,
        )
        return self._files.hot.put((image.id, size), thumbnail, asked_at)

    async def _insert(self, requests: Sequence[_Request]) -> Sequence[None]:
        """Insert the jobs, and clear the rows whose thumbnails are lost."""
        lost = {request.image.id: request.image for request in requests if request.is_lost}
        jobs = [
            NewJob(RENDER, str(request.image.id), Priority.INTERACTIVE, request.trace_id)
            for request in requests
        ]
        async with self._changes.of(lost, is_awaited=False) as session:
            await clear_renditions(session, [*lost.values()])
            await insert_jobs(session, jobs)
        return [None] * len(requests)
