"""Finding, listing and renaming images by their rows."""

from collections.abc import Sequence
from typing import Final, NamedTuple
from uuid import UUID

from app.database.engine import Database
from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import DatabaseUnavailable, ImageNotFound, InvalidFilename
from app.domain.filenames import sanitize_filename
from app.domain.image import Image, ImageDetails, Position
from app.domain.search import NO_FILTERS, Filters
from app.observability.logs import row_cache
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.services.cached_rows import CachedDetails, CachedRows
from app.services.changes import Changes
from app.statements.images import find_details, find_images, rename_image
from app.statements.listing import count_images, list_images

REMEMBERED_SECONDS: Final = 2.0
"""How long a process uses what it remembers of an image without asking the database again."""
MAX_COUNT: Final = 10_000
"""Images that are counted at most."""


class ImagePage(NamedTuple):
    """Some images, newest first, and the position after which the next page starts, if any."""

    items: Sequence[Image]
    next: Position | None


class ImageCount(NamedTuple):
    """How many images there are; if that is not exact, there are more."""

    number: int
    is_exact: bool


class Images:
    """The images that are stored.

    Args:
        database: Where the rows are.
        changes: Opens the transactions that rename.
        cached: Finds rows by their ids; None = the database does.
    """

    def __init__(
        self,
        database: Database,
        changes: Changes,
        cached: CachedRows | None = None,
        observer: Observer = SILENT,
    ) -> None:
        self._database = database
        self._changes = changes
        self._cached = cached
        self._lookups = Batcher(
            "images", self._find, refusal=DatabaseUnavailable, observer=observer
        )
        self._detailed_lookups = Batcher(
            "image_details", self._find_details, refusal=DatabaseUnavailable, observer=observer
        )

    async def get(self, image_id: UUID) -> Image:
        """Return an image; those that are asked for at the same time share a statement.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if self._cached:
            return (await self.details(image_id)).image
        return await self.get_stored(image_id)

    async def get_stored(self, image_id: UUID) -> Image:
        """Return an image as `get`, past the cache: also as it is during a change."""
        image = await self._lookups.submit(image_id)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    async def details(self, image_id: UUID, actor: Actor = ADMINISTRATOR) -> ImageDetails:
        """Return an image with its metadata, as `get` returns it without.

        Raises:
            ImageNotFound: If there is none with this id that the actor reaches.
            DatabaseUnavailable: As `get`.
        """
        details = await self._detailed_lookups.submit(image_id)
        if self._cached:
            row_cache.set("hit" if isinstance(details, CachedDetails) else "miss")
        if details is None or not actor.reaches(details.image):
            raise ImageNotFound(image_id)
        return details

    async def page(
        self,
        limit: int,
        after: Position | None,
        filters: Filters = NO_FILTERS,
        actor: Actor = ADMINISTRATOR,
    ) -> ImagePage:
        """Return up to `limit` images that pass the filters, newest first, after a position.

        They are those that the actor reaches.

        Raises:
            DatabaseUnavailable: If they cannot be read.
        """
        async with self._database.read() as session:
            rows = await list_images(session, limit + 1, after, _reached(filters, actor))
        items = rows[:limit]
        more = len(rows) > limit
        return ImagePage(items, Position(items[-1].created_at, items[-1].id) if more else None)

    async def count(
        self, filters: Filters = NO_FILTERS, actor: Actor = ADMINISTRATOR
    ) -> ImageCount:
        """Count the images that a `page` with these filters has, up to `MAX_COUNT`.

        Raises:
            DatabaseUnavailable: If they cannot be counted.
        """
        async with self._database.read() as session:
            count = await count_images(session, MAX_COUNT + 1, _reached(filters, actor))
        return ImageCount(min(count, MAX_COUNT), is_exact=count <= MAX_COUNT)

    async def rename(self, image_id: UUID, filename: str, actor: Actor = ADMINISTRATOR) -> Image:
        """Change the file name of an image; return the image as it is then.

        Every process saves its files under the new name within `REMEMBERED_SECONDS`.

        Args:
            image_id: Which image.
            filename: As the client sent it; it is made harmless, as that of an upload.
            actor: Who asks for it.

        Raises:
            InvalidFilename: If nothing is left of the name then.
            ImageNotFound: If there is no image with this id that the actor reaches.
            DatabaseUnavailable: If the row cannot be changed, or it is unknown whether it was.
        """
        harmless = harmless_name(filename)
        await self.details(image_id, actor)
        async with self._changes.of([image_id]) as session:
            image = await rename_image(session, image_id, harmless)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    async def close(self) -> None:
        """Cancel statements that are in progress, so that their connections can be closed."""
        await self._lookups.drain(0)
        await self._detailed_lookups.drain(0)

    async def _find(self, image_ids: Sequence[UUID]) -> Sequence[Image | None]:
        async with self._database.read() as session:
            found = await find_images(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]

    async def _find_details(self, image_ids: Sequence[UUID]) -> Sequence[ImageDetails | None]:
        if self._cached:
            found = await self._cached.find(image_ids)
        else:
            async with self._database.read() as session:
                found = await find_details(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]


def harmless_name(filename: str) -> str:
    """Return a name that a client gives to an image, made harmless.

    Raises:
        InvalidFilename: If nothing is left of it.
    """
    harmless = sanitize_filename(filename, "")
    if not harmless:
        raise InvalidFilename
    return harmless


def _reached(filters: Filters, actor: Actor) -> Filters:
    """Return filters that only images pass which an actor reaches."""
    return filters if actor.reaches_all else filters._replace(owner_id=actor.reached_owner)
