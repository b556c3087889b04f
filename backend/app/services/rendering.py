"""Rendering an image: its original → a child process → thumbnails in the storage → its row.

The same job extracts the metadata, in the same processes, and the same statement writes it.

No connection to the database is held while an image is rendered. A killed worker leaves nothing but
files that no row names, which the clean-up removes, and the next attempt renders again under new
keys.
"""

import asyncio
import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from tempfile import TemporaryFile
from typing import IO, Final
from uuid import UUID

from app.cache.base import Cache
from app.database.engine import Database
from app.domain.errors import ImageNotFound, StorageError
from app.domain.image import Image, ImageDetails
from app.domain.metadata import Metadata
from app.domain.thumbnails import CONTENT_TYPE, thumbnail_key, thumbnail_keys
from app.imaging.rendering.child import Rendition
from app.imaging.rendering.protocol import RenderingFailed, Unrenderable
from app.imaging.rendering.renderer import Renderer
from app.observability.reasons import reason
from app.services.changes import Changes
from app.services.files import FileReplaced, ImageFiles, original_of
from app.services.identity import StorageIdentity
from app.services.images import Images
from app.statements.rendering import (
    Rendered,
    record_metadata,
    record_render_error,
    record_rendition,
)
from app.storage.base import StorageBackend

STORAGE_SECONDS: Final = 60.0
"""How long reading an original, and publishing its thumbnails, may take."""

NOT_RENDERED: Final = "The image could not be rendered; the service's log says why."

_log = logging.getLogger(__name__)


class Rendering:
    """Renders images of one database and one storage.

    Args:
        database: Where the rows are.
        storage: Where the originals are, and the thumbnails go.
        renderer: Renders in child processes.
        cache: Has rows of this database, maybe.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageBackend,
        renderer: Renderer,
        cache: Cache | None = None,
    ) -> None:
        self._changes = Changes(database, cache)
        self._storage = storage
        self._renderer = renderer
        self._identity = StorageIdentity(database, storage)
        self._images = Images(database, self._changes)
        self._files = ImageFiles(self._images, storage, self._identity)

    @property
    def seconds(self) -> float:
        """How long rendering one image, and extracting its metadata, may take at most."""
        return 2 * self._renderer.seconds + STORAGE_SECONDS

    async def render(self, image_id: UUID) -> None:
        """Render an image and extract its metadata, each unless the row has it.

        Of an image that cannot be rendered, the row says why. One that was deleted is left alone.

        Raises:
            RenderingFailed: If the child process crashes, or takes too long.
            DatabaseUnavailable: If the row cannot be read, or it is unknown whether it was written.
            ImageDamaged: If the original is missing or has another length.
            StorageError: If the original cannot be read or a thumbnail not be published.
            OSError: If there is no room for a copy of the original, or no process can be started.
        """
        try:
            details = await self._images.details(image_id)
            if self._is_rendered(details.image) and details.metadata is not None:
                return
            await self._identity.require()
            with TemporaryFile() as copy:
                await self._copy_original(details.image, copy)
                await self._complete(details, copy.fileno())
        except ImageNotFound:
            return
        except FileReplaced:
            await self.render(image_id)  # of the file that it has been given since

    async def set_aside(self, image_id: UUID, why: str) -> None:
        """Record that an image is not rendered, or has no metadata that can be extracted.

        Raises:
            DatabaseUnavailable: If that may not be recorded.
        """
        _log.error("image %s is not rendered after all attempts: %s", image_id, why)
        try:
            image = await self._images.get(image_id)
        except ImageNotFound:
            return
        async with self._changes.of([image.id], is_awaited=False) as session:
            if self._is_rendered(image):
                await record_metadata(session, image_id, {})
            else:
                await record_render_error(session, image_id, NOT_RENDERED, {})

    async def close(self) -> None:
        """Cancel a statement that is in progress, so that its connection can be closed."""
        await self._images.close()

    def _is_rendered(self, image: Image) -> bool:
        return image.thumbnail_sizes is not None and (
            set(image.thumbnail_sizes) >= set(self._renderer.sizes)
        )

    async def _copy_original(self, image: Image, copy: IO[bytes]) -> None:
        """Copy the original, so that no storage need have descriptors, or a disk that answers."""
        reader = await self._files.open(original_of(image), 0, image.file_size)
        try:
            while block := await reader.read():
                copy.write(block)
        finally:
            await reader.close()
        copy.flush()

    async def _complete(self, details: ImageDetails, descriptor: int) -> None:
        """Add to the row of an open file what it lacks."""
        image, metadata = details
        if metadata is None:
            metadata = await self._extract(image, descriptor)
        if self._is_rendered(image):
            async with self._changes.of([image.id], is_awaited=False) as session:
                await record_metadata(session, image.id, metadata or {})
            return
        try:
            rendition = await self._renderer.render(descriptor)
        except Unrenderable as error:
            _log.info("image %s cannot be rendered: %s %s", image.id, error, error.detail)
            async with self._changes.of([image.id], is_awaited=False) as session:
                await record_render_error(session, image.id, str(error), metadata or {})
        else:
            await self._publish(image, rendition, metadata)

    async def _extract(self, image: Image, descriptor: int) -> Metadata | None:
        """Return the metadata; None, for the next backfill, if only thumbnails can be had now."""
        try:
            return await self._renderer.extract(descriptor)
        except Unrenderable as error:
            _log.info("image %s: %s %s", image.id, error, error.detail)
            return {}
        except RenderingFailed as error:
            if self._is_rendered(image):
                raise
            _log.warning("the metadata of image %s is not extracted: %s", image.id, error)
            return None

    async def _publish(self, image: Image, rendition: Rendition, metadata: Metadata | None) -> None:
        now = datetime.now(UTC)
        sizes = list(rendition.thumbnails)
        rendered = Rendered(
            rendition.width, rendition.height, rendition.placeholder, now, sizes, metadata
        )
        thumbnails = {
            thumbnail_key(image.storage_key, size, now): content
            for size, content in rendition.thumbnails.items()
        }
        await self._store(thumbnails)
        # Before the row names others. So there is no file that a row has named and names no more,
        # which a server process might remember, and send although the image was deleted.
        previous = thumbnail_keys(image.storage_key, image.thumbnail_sizes, image.rendered_at)
        try:
            for key in previous:
                await self._storage.delete(key)
        except BaseException:
            await self._remove(thumbnails)
            raise
        async with self._changes.of([image.id], is_awaited=False) as session:
            is_current = await record_rendition(session, image, rendered)
        if not is_current:
            await self._remove(thumbnails)

    async def _store(self, thumbnails: Mapping[str, bytes]) -> None:
        """Publish all thumbnails, or none."""
        stored = [self._store_one(key, content) for key, content in thumbnails.items()]
        try:
            results = await asyncio.gather(*stored, return_exceptions=True)
            for result in results:
                if isinstance(result, BaseException):
                    raise result
        except BaseException:
            await self._remove(thumbnails)
            raise

    async def _store_one(self, key: str, content: bytes) -> None:
        staged = await self._storage.stage(key, CONTENT_TYPE)
        try:
            await staged.write(content)
            await staged.publish()
        except BaseException:
            await staged.discard()
            raise

    async def _remove(self, keys: Iterable[str]) -> None:
        """Remove thumbnails that no row names. Those that cannot be are left to the clean-up."""
        for key in keys:
            try:
                await self._storage.delete(key)
            except StorageError as error:
                _log.warning("thumbnail %s is left behind: %s", key, reason(error))
