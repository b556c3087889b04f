"""Uploading one file, or a batch: bytes first, then the row, then the answer (ADR 0003).

No database connection is held while a client sends.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import NamedTuple
from uuid import UUID

from app.domain.errors import (
    ImageHostError,
    ImageNotFound,
    StorageError,
    TooManyFiles,
    UploadFailed,
    UploadRejected,
    UploadUnderWay,
)
from app.domain.filenames import sanitize_filename
from app.domain.image import ExistingImage, Image
from app.domain.ip_address import IpAddress
from app.services.equal_images import EqualImages
from app.services.insertion import Insertion
from app.services.keyed import KeyedFile
from app.services.quota import UploadQuota
from app.services.staging import IncomingFile, StagedImage, Staging
from app.services.storage_quota import StorageQuota


class FailedUpload(NamedTuple):
    """A file of a batch that was not stored, and why."""

    filename: str
    error: ImageHostError


class Uploads:
    """Stores files.

    Args:
        staging: Stores the bytes.
        insertion: Stores the rows.
        quota: How many each subscriber may add.
        storage_quota: How much each user may have.
        equals: Finds what is there already.
        batch_max_files: Most files of one batch.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - each does one thing of it
        self,
        staging: Staging,
        insertion: Insertion,
        quota: UploadQuota,
        storage_quota: StorageQuota,
        equals: EqualImages,
        batch_max_files: int,
    ) -> None:
        self._staging = staging
        self._insertion = insertion
        self._quota = quota
        self._storage_quota = storage_quota
        self._equals = equals
        self._batch_max_files = batch_max_files

    async def require_place(self, address: IpAddress | None) -> None:
        """Refuse an upload of which no file could be stored, before anything of it is read.

        Whether a file that has its place has room, too, depends on what the form asks for it.

        Raises:
            QuotaExceeded: If the address has used up its quota.
            DatabaseUnavailable: If the database cannot be asked.
        """
        await self._quota.require(address, files=0)

    async def upload(
        self, file: IncomingFile, address: IpAddress | None, owner_id: UUID | None = None
    ) -> Image:
        """Store one file, which is durable when this returns.

        If an image of its owner with the same bytes is to be returned in its place, and there is
        one, that is an `ExistingImage`.

        Args:
            file: The file.
            address: Where it comes from; None = it counts towards no address's quota.
            owner_id: Of the user whose image it will be; None = nobody's.

        Raises:
            UploadRejected: `InvalidFileType`, `EmptyFile`, `FileTooLarge`, `MetadataNotRemovable`,
                `QuotaExceeded` or `StorageQuotaExceeded`.
            InvalidKey: If the owner was deleted since.
            StorageError: If the file cannot be stored.
            DatabaseUnavailable: If the row cannot be stored, or it is unknown whether it was.
            UploadUnderWay: If somebody else has claimed the request.
            IdempotencyKeyReused: If its key was sent with another one before.
            ImageNotFound: If an earlier attempt stored the image, which has been deleted since.
        """
        if file.keyed and file.keyed.is_stored:
            return await _stored_image(file, file.keyed)
        await self._quota.require(address)
        return await self._publish(await self._stage(file, address, owner_id))

    async def upload_batch(
        self,
        files: AsyncIterator[IncomingFile],
        address: IpAddress | None,
        owner_id: UUID | None = None,
    ) -> list[Image | FailedUpload]:
        """Store several files, each for itself, once all have arrived; results in their order.

        Raises:
            TooManyFiles: If there are more than allowed; then nothing is stored.
            QuotaExceeded: If the address may not add even one; not if all are stored already.
            DatabaseUnavailable: If the database cannot be asked about that.
            UploadUnderWay: As `upload`; who has claimed the request has the answer, also for the
                files that are stored.
            IdempotencyKeyReused: As `upload`.
        """
        results: list[Image | FailedUpload] = []
        arrived: deque[StagedImage | Image | FailedUpload] = deque()
        is_admitted = False
        try:
            async for file in files:
                if len(arrived) == self._batch_max_files:
                    raise TooManyFiles(self._batch_max_files, len(arrived) + 1)
                stored = file.keyed if file.keyed and file.keyed.is_stored else None
                if not (stored or is_admitted):
                    await self._quota.require(address)
                    is_admitted = True
                try:
                    arrived.append(
                        await _stored_image(file, stored)
                        if stored
                        else await self._stage_and_seal(file, address, owner_id)
                    )
                except (UploadRejected, StorageError, ImageNotFound) as error:
                    name = sanitize_filename(file.filename, fallback="image")
                    arrived.append(FailedUpload(name, error))
            while arrived:
                item = arrived.popleft()
                results.append(
                    await self._publish_or_fail(item) if isinstance(item, StagedImage) else item
                )
        finally:
            for item in arrived:
                if isinstance(item, StagedImage):
                    await item.object.discard()
        return results

    async def close(self) -> None:
        """Wait until the rows of published files are stored; no upload may follow."""
        await self._insertion.drain()

    async def _stage(
        self, file: IncomingFile, address: IpAddress | None, owner_id: UUID | None
    ) -> StagedImage:
        """Stage a file, unless it is already certain that it has no room."""
        if file.options.on_duplicate == "store":  # one that is there already needs none
            size = 1 if self._staging.strips(file) else file.least_bytes
            await self._storage_quota.require(owner_id, size)
        return await self._staging.stage(file, address, owner_id)

    async def _stage_and_seal(
        self, file: IncomingFile, address: IpAddress | None, owner_id: UUID | None
    ) -> StagedImage:
        """Stage a file that waits for the others of its batch."""
        image = await self._stage(file, address, owner_id)
        try:
            await image.object.seal()
        except BaseException:
            await image.object.discard()
            raise
        return image

    async def _publish(self, image: StagedImage) -> Image:
        """Make a staged file durable, then have its row committed; or return an equal image."""
        published = await self._staging.publish(image)
        if image.on_duplicate == "return" and (existing := await self._existing(published)):
            return existing
        return await self._insertion.insert(published)

    async def _existing(self, image: StagedImage) -> ExistingImage | None:
        """Return the image that has a published file's bytes already; discard the file then."""
        try:
            existing = await self._equals.find(image.row)
        except BaseException:
            await image.object.discard()
            raise
        if existing:
            await image.object.discard()
        return existing

    async def _publish_or_fail(self, image: StagedImage) -> Image | FailedUpload:
        """Publish one file of a batch.

        Whatever happens to it, the caller must hear of those before it, which are stored by now;
        unless somebody else carries out the request, and will say.
        """
        try:
            return await self._publish(image)
        except UploadUnderWay:
            raise
        except ImageHostError as error:
            return FailedUpload(image.row.filename, error)
        except Exception as error:  # noqa: BLE001 - a defect, which the log reports
            failed = UploadFailed()
            failed.__cause__ = error
            return FailedUpload(image.row.filename, failed)


async def _stored_image(file: IncomingFile, keyed: KeyedFile) -> Image:
    """Read a file that an earlier attempt of its request stored; return that image.

    Raises:
        IdempotencyKeyReused: If that was another file.
        ImageNotFound: If the image has been deleted since.
    """
    async for _ in file.chunks:
        pass
    return keyed.stored_image()
