"""Making images private or public, by which their files get other keys (ADR 62).

The name of a file is the proof that what a process remembers of it is still so. So with its
visibility an image changes its files' names: first they get new ones beside the old, then its row
names these, then the old ones are removed. Whatever is killed in between, the row names files that
there are, nobody finds those that it does not name, and fsck does.
"""

import asyncio
from collections.abc import Mapping
from pathlib import PurePath
from uuid import UUID, uuid4

from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import ImageDamaged, ObjectNotFound
from app.domain.image import Image
from app.domain.job import RENDER, NewJob
from app.domain.thumbnails import CONTENT_TYPE, is_thumbnail, thumbnail_keys
from app.observability.reasons import reason
from app.services.changes import Changes
from app.services.identity import StorageIdentity
from app.services.images import Images, harmless_name
from app.services.linking import link
from app.services.removal import Removal
from app.statements.images import rename_image, republish_image
from app.statements.jobs import insert_jobs
from app.storage.base import StorageBackend


class Visibility:
    """Changes who may fetch the files of images.

    Args:
        changes: Opens the transactions that change rows.
        storage: Where the files are.
        identity: Makes sure that it is the right one.
        images: Finds the rows.
        removal: Removes the files under their old keys.
        renders: Whether workers render images.
        redirects: Whether clients are sent to a store, by addresses with the key of a file.
    """

    def __init__(  # noqa: PLR0913 - each does one thing of it
        self,
        changes: Changes,
        storage: StorageBackend,
        identity: StorageIdentity,
        images: Images,
        removal: Removal,
        *,
        renders: bool,
        redirects: bool,
    ) -> None:
        self._changes = changes
        self._storage = storage
        self._identity = identity
        self._images = images
        self._removal = removal
        self._renders = renders
        self._redirects = redirects

    async def change(
        self,
        image_id: UUID,
        *,
        is_public: bool | None,
        filename: str | None = None,
        actor: Actor = ADMINISTRATOR,
    ) -> Image:
        """Make an image private or public, effective everywhere when this returns, or rename it.

        Addresses that were signed for it are worth nothing after a change of visibility.

        Args:
            image_id: Which image.
            is_public: Whether anybody may fetch its files; None = as before.
            filename: Another name for it, as for `Images.rename`; None = as before.
            actor: Who asks for it.

        Returns:
            The image as it is then.

        Raises:
            InvalidFilename: If nothing is left of the name.
            ImageNotFound: If there is no image with this id that the actor reaches.
            ImageDamaged: If its original is missing.
            StorageError: If the files cannot get other keys.
            DatabaseUnavailable: If the row cannot be changed, or it is unknown whether it was.
        """
        if is_public is None and filename is not None:
            return await self._images.rename(image_id, filename, actor)  # needs no storage
        name = None if filename is None else harmless_name(filename)
        await self._images.details(image_id, actor)
        await self._identity.require()
        while True:
            image = await self._images.get_stored(image_id)
            if is_public is None or image.is_public == is_public:
                if is_public is False:
                    # By an attempt, maybe, that was killed before it removed the public files.
                    await self._removal.remove([], may_be_remembered=True)
                return image if name is None else await self._images.rename(image_id, name, actor)
            # It fails where another change, or a rendering, was first.
            if changed := await self._replace(image, name, is_public=is_public):
                return changed

    async def _replace(self, image: Image, name: str | None, *, is_public: bool) -> Image | None:
        """Give an image other files; return it as it is then, None if its row was changed since."""
        new_key = uuid4().hex + PurePath(image.storage_key).suffix
        keys = dict(zip(_keys(image), _keys(image._replace(storage_key=new_key)), strict=True))
        new = [(key, image.id) for key in keys.values()]
        may_be_named = False
        try:
            if not await self._link_all(image, keys):
                return None
            async with self._changes.of([image.id]) as session:
                changed = await republish_image(session, image, new_key, is_public=is_public)
                may_be_named = changed is not None
                if changed and name is not None:
                    changed = await rename_image(session, image.id, name)
                if changed and self._renders and not changed.render_error:
                    # A rendering in progress is of the old files, and will be dropped.
                    await insert_jobs(session, [NewJob(RENDER, str(image.id))])
        finally:
            # If the commit failed, it may have taken place, so both are left.
            if not may_be_named:
                await self._removal.remove_all(new)
        if changed:
            old = [(key, image.id) for key in keys]
            await self._removal.remove(old, may_be_remembered=self._redirects)
        return changed

    async def _link_all(self, image: Image, keys: Mapping[str, str]) -> bool:
        """Give files new keys; return False if the image has other files by now.

        A thumbnail that is missing is left out, for it can be rendered again.
        """
        linking = [
            link(
                self._storage, *pair, CONTENT_TYPE if is_thumbnail(pair[0]) else image.content_type
            )
            for pair in keys.items()
        ]
        results = await asyncio.gather(*linking, return_exceptions=True)
        for key, result in zip(keys, results, strict=True):
            if isinstance(result, ObjectNotFound):
                if is_thumbnail(key):
                    continue
                if (await self._images.get_stored(image.id)).storage_key != key:
                    return False
                raise ImageDamaged(image.id, reason(result)) from result
            if result:
                raise result
        return True


def _keys(image: Image) -> list[str]:
    return [
        image.storage_key,
        *thumbnail_keys(image.storage_key, image.thumbnail_sizes, image.rendered_at),
    ]
