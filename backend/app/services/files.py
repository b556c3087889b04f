"""Finding and opening the files of images; one in demand is found without asking the database."""

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, field
from datetime import datetime
from time import monotonic
from typing import Any, Final, Protocol, TypeVar
from uuid import UUID

from app.domain.errors import (
    ImageDamaged,
    ImageNotFound,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    ThumbnailNotReady,
)
from app.domain.filenames import with_extension
from app.domain.image import Image
from app.domain.thumbnails import stem
from app.imaging.formats import EXTENSIONS
from app.runtime.expiring import ExpiringMap
from app.services.damage import DamageReports
from app.services.identity import StorageIdentity
from app.services.images import REMEMBERED_SECONDS, Images
from app.services.lease import Lease
from app.storage.abilities import Locates, Presigns
from app.storage.base import ObjectReader, StorageBackend

HOT_FILES: Final = 10_000
"""How many files are remembered."""
DAMAGE_REPORTS: Final = 1_000
DAMAGE_REPORT_SECONDS: Final = 60.0
"""The operator is warned of a damaged image once within this time, and of at most so many."""

FileName = UUID | tuple[UUID, str]
"""What a file is asked for by: the image's id; of a thumbnail, with the size."""
_T = TypeVar("_T")


@dataclass(slots=True)
class HotFile:
    """What is remembered of a file: whoever uses it must see that the file is still there."""

    image_id: UUID
    key: str
    """Stands for these bytes alone, for ever."""
    filename: str
    """What a client saves it as: the image's, with the extension of the file's type."""
    content_type: str
    size: int
    """Bytes."""
    modified: datetime
    _: KW_ONLY
    checksum: bytes | None = None
    """SHA-256, where it is known."""
    is_thumbnail: bool = False
    is_renamed: bool = False
    """Whether it had another name before."""
    is_public: bool = True
    """Whether anybody may fetch it."""
    owner_id: UUID | None = None
    """Of the user who owns the image."""
    _derived: dict[Callable[["HotFile"], Any], Any] = field(default_factory=dict, init=False)

    def derive(self, make: Callable[["HotFile"], _T]) -> _T:
        """Return what a function makes of this file: made once, and kept as long as this is."""
        if make not in self._derived:
            self._derived[make] = make(self)
        made: _T = self._derived[make]
        return made


def original_of(image: Image) -> HotFile:
    """Return what is known of an image's original by its row."""
    return HotFile(
        image.id,
        image.storage_key,
        with_extension(image.filename, EXTENSIONS.get(image.content_type, ())),
        image.content_type,
        image.file_size,
        image.created_at,
        checksum=image.checksum,
        is_renamed=image.updated_at is not None,
        is_public=image.is_public,
        owner_id=image.owner_id,
    )


class Viewer(Protocol):
    """Whoever asks for a file."""

    async def may_fetch(self, file: HotFile) -> bool:
        """Return whether they may fetch a private file."""


class _Anybody:
    """Somebody of whom nothing is known."""

    async def may_fetch(self, file: HotFile) -> bool:  # noqa: ARG002 - no private file at all
        return False


ANYBODY: Final[Viewer] = _Anybody()


class FileReplaced(StorageUnavailable):
    """The image has another file by now, for it was made private or public: find it again."""

    def __init__(self, image_id: UUID) -> None:
        super().__init__()
        self.reason = f"image {image_id} is made private and public again and again"


class ImageFiles:
    """Opens the files of images.

    Args:
        images: Finds them.
        storage: Where the files are.
        identity: Makes sure that the storage is the right one, before a file counts as missing.
        lease: What a proxy in front is given with each file; None where there is no such proxy.
        redirects: Whether clients are sent to a store that has addresses.
    """

    def __init__(
        self,
        images: Images,
        storage: StorageBackend,
        identity: StorageIdentity,
        lease: Lease | None = None,
        *,
        redirects: bool = False,
    ) -> None:
        self._images = images
        self._storage = storage
        self._identity = identity
        self.lease = lease
        self.redirects = redirects
        self.hot = ExpiringMap[FileName, HotFile](HOT_FILES, REMEMBERED_SECONDS)
        """Files in demand, each since before its row was read."""
        self._damage = DamageReports(DAMAGE_REPORTS, DAMAGE_REPORT_SECONDS)

    async def find(self, image_id: UUID, viewer: Viewer = ANYBODY) -> HotFile:
        """Return the original of an image, maybe from memory.

        Of what it needs of its row only the name changes without the key, and a delete, or a change
        of visibility, is over only when the file is gone. So the caller must `open` it, or
        `require_present`, before anything is said of it.

        Raises:
            ImageNotFound: If there is none with this id that the viewer may fetch.
            DatabaseUnavailable: If the database cannot be asked.
        """
        known = self.hot.get(image_id)
        # Who may not fetch what is remembered, may be admitted to what there is by now.
        if known and (known.is_public or await viewer.may_fetch(known)):
            return known
        asked_at = monotonic()
        file = original_of(await self._images.get(image_id))
        if not (file.is_public or await viewer.may_fetch(file)):
            raise ImageNotFound(image_id)
        return self.hot.put(image_id, file, asked_at)

    async def locate(self, file: HotFile) -> str | None:
        """Return the path below the storage's folder where a proxy finds a file, if it has one.

        Raises:
            ImageHostError: As `open`.
        """
        if not isinstance(self._storage, Locates):
            return None
        await (await self.open(file, 0, 0)).close()
        return self._storage.locate(file.key)

    async def presign(self, file: HotFile, seconds: int, headers: Mapping[str, str]) -> str | None:
        """Return an address where anybody can get a file, if the storage has any.

        Whether the file is still there shows the store's answer to whoever does.

        Args:
            file: What is to be fetched.
            seconds: How long the address is valid.
            headers: What the answer's header fields are to be, by lower-case names.

        Raises:
            StorageUnavailable: If there is none now.
        """
        if not isinstance(self._storage, Presigns):
            return None
        return await self._storage.presign(file.key, seconds, headers)

    async def size_of(self, key: str) -> int | None:
        """Return the bytes of a file; None if it is missing, in the right storage.

        Raises:
            StorageUnavailable: If that cannot be found out.
            DatabaseUnavailable: The same.
        """
        try:
            reader = await self._storage.open(key, 0, 0)
        except ObjectNotFound:
            await self._identity.require()
            return None
        await reader.close()
        return reader.size

    async def require_present(self, file: HotFile) -> None:
        """Make sure that an image was not deleted, or got other files, since its file was found.

        Raises:
            ImageNotFound: If it was deleted.
            FileReplaced: If it has another original.
            ThumbnailNotReady: If it has other thumbnails.
            DatabaseUnavailable: If neither the file nor the database shows whether it was.
        """
        try:
            reader = await self._storage.open(file.key, 0, 0)
        except StorageError:
            await self._require_current(file)
        else:
            await reader.close()

    async def open(self, file: HotFile, start: int, length: int) -> ObjectReader:
        """Open `length` bytes of a file, from `start` on. The caller closes the reader.

        Raises:
            ImageNotFound: If the image was deleted since its file was found.
            FileReplaced: If the image has got another original since.
            ImageDamaged: If the original is missing or has another length than the row says.
            ThumbnailNotReady: If a thumbnail is missing, or has changed: it was rendered anew, or
                must be.
            StorageUnavailable: If it cannot be read.
        """
        try:
            reader = await self._storage.open(file.key, start, length)
        except ObjectNotFound as error:
            await self._identity.require()
            raise await self._lost(file, "is missing") from error
        if reader.size != file.size:
            await reader.close()
            raise await self._lost(file, f"has {reader.size} bytes, not {file.size}")
        return reader

    async def _lost(self, file: HotFile, finding: str) -> ImageDamaged | ThumbnailNotReady:
        """Return the error to raise for what was found of a file.

        Raises:
            ImageNotFound: If the image was deleted since, so that nothing is wrong.
            FileReplaced: If it has another original, so that nothing is either.
            DatabaseUnavailable: If the database cannot be asked.
        """
        await self._require_current(file)
        place = f" in {self._identity.location}" if self._identity.location else ""
        found = f"its file {file.key}{place} {finding}"
        if file.is_thumbnail:
            return ThumbnailNotReady(f"image {file.image_id}: {found}")
        is_known = not self._damage.is_due(file.image_id)
        return ImageDamaged(file.image_id, found, is_known=is_known)

    async def _require_current(self, file: HotFile) -> None:
        """Make sure that a row still names a file that was found; else remember what it names."""
        asked_at = monotonic()
        image = await self._images.get_stored(file.image_id)
        if stem(image.storage_key) == stem(file.key):
            return
        if file.is_thumbnail:
            raise ThumbnailNotReady(f"image {image.id} has got other thumbnails")
        self.hot.put(image.id, original_of(image), asked_at)
        raise FileReplaced(image.id)
