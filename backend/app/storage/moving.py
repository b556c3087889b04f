"""Objects that are being moved from one backend to another, in the service (ADR 59).

New ones are written to the destination. Both are read, and what is deleted goes from the source
first. So what the destination lacks has not been deleted as long as the source has it.
"""

from collections.abc import AsyncIterator
from contextlib import suppress
from errno import EEXIST, ENOENT
from uuid import UUID, uuid4

from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.observability.figures import Space
from app.storage.abilities import HasSpace, Links, Mark, Place, UnlistedUploads
from app.storage.base import ObjectInfo, ObjectReader, Skipped, StagedObject, ignore


class MovingStorage:
    """A `Place` over two.

    Args:
        destination: Where the objects will be.
        source: Where they have been. Nothing is written there but its mark.
    """

    def __init__(self, destination: Place, source: Place) -> None:
        self.destination = destination
        self.source = source
        self._places = {"source": source, "destination": destination}

    async def stage(self, key: str, content_type: str) -> StagedObject:
        """Begin an object in the destination."""
        return await self.destination.stage(key, content_type)

    async def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectReader:
        """Open an object where it is."""
        try:
            return await self.destination.open(key, start, length)
        except ObjectNotFound:
            return await self.source.open(key, start, length)

    async def stat(self, key: str) -> ObjectInfo:
        """Return what is known of an object where it is."""
        try:
            return await self.destination.stat(key)
        except ObjectNotFound:
            return await self.source.stat(key)

    async def link(self, key: str, new_key: str) -> bool:
        """Link what is in the destination by now; nothing is written to the source."""
        if isinstance(self.destination, Links):
            with suppress(ObjectNotFound):
                return await self.destination.link(key, new_key)
        return False

    async def space(self) -> Space | None:
        """Return the room in the destination, if it is bounded."""
        bounded = self.destination
        return await bounded.space() if isinstance(bounded, HasSpace) else None

    async def delete(self, key: str) -> None:
        """Remove an object from both, even if one of them fails.

        The source first: whoever copies it looks there, when its copy can be seen, whether it must
        be removed again.
        """
        try:
            await self.source.delete(key)
        finally:
            await self.destination.delete(key)

    async def list(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield the objects of both, each once."""
        sources, destinations = self.source.list(skipped), self.destination.list(skipped)
        old, new = await anext(sources, None), await anext(destinations, None)
        while old or new:
            is_old = new is None or (old is not None and old.key < new.key)
            if found := old if is_old else new:
                yield found
                if old and old.key == found.key:
                    old = await anext(sources, None)
                if new and new.key == found.key:
                    new = await anext(destinations, None)

    async def list_staged(self, skipped: Skipped = ignore) -> AsyncIterator[ObjectInfo]:
        """Yield what is staged in both, as `source/…` and `destination/…`."""
        unlisted: UnlistedUploads | None = None
        for name, place in self._places.items():
            try:
                async for info in place.list_staged(skipped):
                    yield info._replace(key=f"{name}/{info.key}")
            except UnlistedUploads as error:
                unlisted = error
        if unlisted:
            raise unlisted

    async def discard_staged(self, name: str) -> None:
        """Remove what is staged in one of them."""
        place, _, staged = name.partition("/")
        await self._places[place].discard_staged(staged)

    async def prepare(self) -> None:
        """Set up the destination, and see that the source can be read."""
        await self.destination.prepare()
        await self._read_source()

    async def probe(self) -> None:
        """Prove that an object could be written to the destination, and be read from the source.

        The source may be full: that can be why it is left.
        """
        await self.destination.probe()
        await self._read_source()

    async def close(self) -> None:
        """Release what both hold."""
        for place in self._places.values():
            await place.close()

    @property
    def location(self) -> str:
        """Where both are."""
        return f"{self.destination.location}, with {self.source.location},"

    async def read_mark(self) -> Mark | None:
        """Return the mark that both have; None if neither has one.

        An empty destination is to have that of the source. An empty source is no storage: it may be
        a volume that is not mounted.

        Raises:
            StorageUnavailable: If they are not marked alike, or that cannot be found out.
        """
        old, new = [await place.read_mark() for place in self._places.values()]
        if old and new is None and not await self.destination.holds_objects():
            return old._replace(is_confirmed=False)
        if old is None and new is None:
            return None
        if old is None:
            words = "no storage is here from which images could be moved; is its volume mounted?"
            raise StorageUnavailable from OSError(ENOENT, words, self.source.location)
        if new is None or new.storage_id != old.storage_id:
            words = "images are here that are not those of the storage that is moved here"
            raise StorageUnavailable from OSError(EEXIST, words, self.destination.location)
        return new if old.is_confirmed else old

    async def write_mark(self, mark: Mark) -> None:
        """Mark each that has another mark."""
        for place in self._places.values():
            if await place.read_mark() != mark:
                await place.write_mark(mark)

    async def holds_objects(self) -> bool:
        """Return whether one of them holds any object."""
        return await self.source.holds_objects() or await self.destination.holds_objects()

    def require_mark(self, storage_id: UUID) -> None:
        """Work from now on only while both have this mark."""
        for place in self._places.values():
            place.require_mark(storage_id)

    async def _read_source(self) -> None:
        with suppress(ObjectNotFound):
            await self.source.stat(uuid4().hex)
