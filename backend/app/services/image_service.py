"""What people do with images. Owns the transactions, and the order of bytes and rows (ADR 0003).

An upload is *staged* while its bytes arrive, then *published*: its file is made durable, then its
row is committed, then the caller is told. No database connection is held while a client sends.
"""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from time import monotonic
from typing import Final, Protocol
from uuid import UUID, uuid4

from app.database.engine import Database
from app.domain.errors import (
    DatabaseUnavailable,
    EmptyFile,
    FileTooLarge,
    ImageDamaged,
    ImageHostError,
    ImageNotFound,
    InvalidFileType,
    ObjectNotFound,
    StorageError,
    StorageUnavailable,
    TooManyFiles,
    UploadFailed,
    UploadRejected,
)
from app.domain.filenames import sanitize_filename
from app.domain.image import Image, IpAddress, NewImage, Position
from app.domain.limits import UploadLimits
from app.imaging.formats import HEAD_BYTES, ImageType, detect
from app.imaging.inspection import Facts, Inspection
from app.imaging.truncation import EndFinder
from app.observability.reasons import reason
from app.services.damage import DamageReports
from app.services.grouped import grouped
from app.services.identity import StorageIdentity
from app.services.quota import UploadQuota
from app.services.readiness import Probe
from app.services.recent import RecentImages
from app.statements.images import delete_image, find_images, list_images
from app.statements.readiness import require_writable_table
from app.storage.base import ObjectReader, StagedObject, StorageBackend

RECENT_IMAGES: Final = 10_000
RECENT_SECONDS: Final = 2.0
"""How many images are remembered, and for how long one may be taken for true without asking."""
DAMAGE_REPORTS: Final = 1_000
DAMAGE_REPORT_SECONDS: Final = 60.0
"""The log names a damaged image once within this time, and at most so many images."""

_log = logging.getLogger(__name__)


class IncomingFile(Protocol):
    """A file on its way in."""

    @property
    def filename(self) -> str | None:
        """The client's name for it; not to be trusted."""

    @property
    def chunks(self) -> AsyncIterator[bytes]:
        """Its bytes, in pieces that are not empty; raises where the file is broken off."""


@dataclass(frozen=True, slots=True)
class FailedUpload:
    """A file of a batch that was not stored, and why."""

    filename: str
    error: ImageHostError


@dataclass(frozen=True, slots=True)
class ImagePage:
    """Some images, newest first, and where the next page starts (None: this is the last one)."""

    items: Sequence[Image]
    next: Position | None


@dataclass(frozen=True, slots=True)
class _StagedImage:
    row: NewImage
    object: StagedObject
    facts: asyncio.Task[Facts]
    """Takes a thread, while another one makes the file durable."""


class ImageService:
    """The use cases, over a database and a storage backend.

    Args:
        database: Where the rows are.
        storage: Where the files are.
        limits: How much may be added.
        identity: Makes sure that the two belong together; None where they certainly do.
    """

    def __init__(
        self,
        database: Database,
        storage: StorageBackend,
        limits: UploadLimits,
        identity: StorageIdentity | None = None,
    ) -> None:
        self._database = database
        self._storage = storage
        self._identity = identity
        self._limits = limits
        self._recent = RecentImages(RECENT_IMAGES, RECENT_SECONDS)
        self._damage = DamageReports(DAMAGE_REPORTS, DAMAGE_REPORT_SECONDS)
        self._unavailable: frozenset[str] = frozenset()
        """What could not be used when it was last asked."""
        self._quota = UploadQuota(database, limits.uploads_per_hour_per_ip)
        self._look_ups = grouped(self._look_up)
        self._additions = grouped(self._add)
        self._probes = {
            "database": Probe(self._check_database, DatabaseUnavailable),
            "storage": Probe(self._probe_storage, StorageUnavailable),
        }

    async def upload(self, file: IncomingFile, address: IpAddress | None) -> Image:
        """Store one file, which is durable when this returns.

        Raises:
            UploadRejected: `InvalidFileType`, `EmptyFile`, `FileTooLarge` or `QuotaExceeded`.
            StorageError: If the file cannot be stored.
            DatabaseUnavailable: If the row cannot be stored, or it cannot be told whether it was.
        """
        await self._quota.require(address)
        return await self._publish(await self._stage(file, address))

    async def upload_batch(
        self, files: AsyncIterator[IncomingFile], address: IpAddress | None
    ) -> list[Image | FailedUpload]:
        """Store several files, each for itself, once all have arrived; results in their order.

        Raises:
            TooManyFiles: If there are more than allowed; then nothing is stored.
            QuotaExceeded: If the address may not add even one.
            DatabaseUnavailable: If that cannot be told.
        """
        await self._quota.require(address)
        results: list[Image | FailedUpload] = []
        arrived: deque[_StagedImage | FailedUpload] = deque()
        try:
            async for file in files:
                if len(arrived) == self._limits.batch_max_files:
                    raise TooManyFiles(self._limits.batch_max_files, len(arrived) + 1)
                try:
                    arrived.append(await self._stage_for_later(file, address))
                except (UploadRejected, StorageError) as error:
                    name = sanitize_filename(file.filename, fallback="image")
                    arrived.append(FailedUpload(name, error))
            while arrived:
                item = arrived.popleft()
                results.append(
                    await self._publish_or_fail(item) if isinstance(item, _StagedImage) else item
                )
        finally:
            for item in arrived:
                if isinstance(item, _StagedImage):
                    await item.object.discard()
        return results

    async def get(self, image_id: UUID) -> Image:
        """Find an image.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If it cannot be told.
        """
        image = await self._look_ups.submit(image_id)
        if image is None:
            raise ImageNotFound(image_id)
        return image

    async def get_present(self, image_id: UUID) -> Image:
        """Find an image whose file is asked for, maybe in memory.

        What a file needs of its row never changes, and a delete is over only when the file is gone.
        So the caller must `open` the file, or `require_present`, before anything is said of it.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If it cannot be told.
        """
        known = self._recent.find(image_id)
        if known:
            return known
        asked_at = monotonic()
        image = await self.get(image_id)
        self._recent.remember(image, asked_at)
        return image

    async def require_present(self, image: Image) -> None:
        """Make sure that an image was not deleted since it was found.

        Raises:
            ImageNotFound: If it was.
            DatabaseUnavailable: If neither its file nor the database shows whether it was.
        """
        try:
            reader = await self._storage.open(image.storage_key, 0, 0)
        except StorageError:
            await self.get(image.id)
        else:
            await reader.close()

    async def open(self, image: Image, start: int, length: int) -> ObjectReader:
        """Open `length` bytes of an image's file, from `start` on. The caller closes the reader.

        Raises:
            ImageNotFound: If the image was deleted since it was found.
            ImageDamaged: If the file is missing or has another length than the row says.
            StorageUnavailable: If it cannot be read.
        """
        key = image.storage_key
        try:
            reader = await self._storage.open(key, start, length)
        except ObjectNotFound as error:
            await self._require_identity()
            raise await self._damaged(image, "is missing") from error
        if reader.size != image.file_size:
            await reader.close()
            raise await self._damaged(image, f"has {reader.size} bytes, not {image.file_size}")
        return reader

    async def _damaged(self, image: Image, finding: str) -> ImageDamaged:
        """Log what was found of an image's file, if it is due, and return the error to raise.

        Raises:
            ImageNotFound: If the image was deleted since, so that nothing is wrong.
            DatabaseUnavailable: If that cannot be asked.
        """
        await self.get(image.id)
        if self._damage.is_due(image.id):
            _log.error("image %s is damaged: its file %s %s", image.id, image.storage_key, finding)
        return ImageDamaged(image.id)

    async def list(self, limit: int, after: Position | None) -> ImagePage:
        """Read up to `limit` images, newest first, that come after a position.

        Raises:
            DatabaseUnavailable: If they cannot be read.
        """
        async with self._database.read() as session:
            rows = await list_images(session, limit + 1, after)
        items = rows[:limit]
        more = len(rows) > limit
        return ImagePage(items, Position(items[-1].created_at, items[-1].id) if more else None)

    async def delete(self, image_id: UUID) -> None:
        """Remove an image: its row, and then its file.

        A file that cannot be removed is left behind and logged; the image is gone all the same.

        Raises:
            ImageNotFound: If there is none with this id.
            DatabaseUnavailable: If the row cannot be removed, or it cannot be told whether it was.
        """
        async with self._database.write() as session:
            key = await delete_image(session, image_id)
        if key is None:
            raise ImageNotFound(image_id)
        try:
            await self._storage.delete(key)
        except StorageError as error:
            _log.error(
                "image %s is deleted, but its file %s may be left behind, which fsck will find: %s",
                image_id,
                key,
                reason(error),
            )
            # Any worker that remembers the image would still send the file.
            await asyncio.sleep(RECENT_SECONDS)

    async def outages(self) -> dict[str, ImageHostError]:
        """Ask the database and the storage; name each that cannot be used, with the reason."""
        errors = await asyncio.gather(*(probe.outage() for probe in self._probes.values()))
        asked = zip(self._probes, errors, strict=True)
        outages = {name: error for name, error in asked if error is not None}
        self._log_changes(outages)
        return outages

    def _log_changes(self, outages: dict[str, ImageHostError]) -> None:
        """Log what became unavailable, with the reason, and what became available again."""
        for name in outages.keys() - self._unavailable:
            _log.warning("the %s is unavailable: %s", name, reason(outages[name]))
        for name in self._unavailable - outages.keys():
            _log.warning("the %s is available again", name)
        self._unavailable = frozenset(outages)

    async def prepare_storage(self) -> None:
        """Set up the storage, if it is the right one.

        Raises:
            StorageError: If it is not, or cannot be set up. Nothing is done where only the
                database knows, and is unavailable.
        """
        with suppress(DatabaseUnavailable):
            await self._require_identity()
            await self._storage.prepare()

    async def _probe_storage(self) -> None:
        """Prove that the storage is the right one and could be written now."""
        with suppress(DatabaseUnavailable):
            await self._require_identity()
            await self._storage.probe()

    async def _require_identity(self) -> None:
        if self._identity:
            await self._identity.require()

    async def _check_database(self) -> None:
        async with self._database.read() as session:
            await require_writable_table(session)

    async def _stage(self, file: IncomingFile, address: IpAddress | None) -> _StagedImage:
        """Write a file as it arrives, judging its type by its head and its size while counting."""
        chunk = await _read_head(file.chunks)
        if not chunk:
            raise EmptyFile
        image_type = detect(chunk)
        if image_type is None:
            raise InvalidFileType(is_named=file.filename is not None)
        image_id = uuid4()
        key = image_id.hex + image_type.extension
        await self._require_identity()
        staged = await self._storage.stage(key, image_type.value)
        inspection = Inspection(image_type)
        size = 0
        try:
            while chunk:
                size += len(chunk)
                if size > self._limits.max_upload_bytes:
                    raise FileTooLarge(self._limits.max_upload_bytes, size)
                inspection.feed(chunk)
                await staged.write(chunk)
                chunk = await anext(file.chunks, b"")
        except BaseException:
            await staged.discard()
            raise
        row = NewImage(
            id=image_id,
            filename=sanitize_filename(file.filename, fallback=f"image{image_type.extension}"),
            storage_key=key,
            content_type=image_type.value,
            file_size=size,
            upload_ip=address,
            width=None,
            height=None,
            checksum=None,
            truncated=None,
        )
        return _StagedImage(row, staged, asyncio.create_task(inspection.facts()))

    async def _stage_for_later(self, file: IncomingFile, address: IpAddress | None) -> _StagedImage:
        """Stage a file that waits for the others of its batch."""
        image = await self._stage(file, address)
        try:
            await image.object.seal()
        except BaseException:
            await image.object.discard()
            raise
        return image

    async def _publish(self, image: _StagedImage) -> Image:
        """Make a staged file durable, then have its row committed."""
        try:
            checksum = await image.object.publish()
            facts = await image.facts
            if facts.truncated is None:
                facts = facts._replace(truncated=await self._is_truncated(image.row))
        except BaseException:
            await image.object.discard()
            raise
        row = image.row._replace(checksum=checksum, **facts._asdict())
        image = replace(image, row=row)
        try:
            addition = self._additions.submit(image)
        except DatabaseUnavailable:
            await image.object.discard()
            raise
        # Published as it is, it gets its row even if nobody waits for that any more.
        return await asyncio.shield(addition)

    async def _is_truncated(self, row: NewImage) -> bool | None:
        """Look for the image's end in all of a file that does not end with it, as few do not."""
        finder = EndFinder(ImageType(row.content_type), everywhere=True)
        reader = await self._storage.open(row.storage_key)
        try:
            while finder.truncated and (block := await reader.read()):
                finder.feed(block)
        finally:
            await reader.close()
        return finder.truncated

    async def _publish_or_fail(self, image: _StagedImage) -> Image | FailedUpload:
        """Publish one file of a batch.

        Whatever happens to it, the caller must hear of those before it, which are stored by now.
        """
        filename = image.row.filename
        try:
            return await self._publish(image)
        except ImageHostError as error:
            return FailedUpload(filename, error)
        except Exception:  # noqa: BLE001 - a defect, which the log tells of
            _log.exception("a file of a batch could not be stored")
            return FailedUpload(filename, UploadFailed())

    async def _look_up(self, image_ids: Sequence[UUID]) -> Sequence[Image | None]:
        async with self._database.read() as session:
            found = await find_images(session, image_ids)
        return [found.get(image_id) for image_id in image_ids]

    async def _add(self, images: Sequence[_StagedImage]) -> Sequence[Image | Exception]:
        """Commit the rows of published files in one transaction, if need be each in its own.

        A failure before the rows are added takes the files back, as a quota that is used up does.
        After that the commit may have taken place, whatever the error says, so nothing is removed:
        a file without a row is harmless.
        """
        rows = [image.row for image in images]
        added = False
        try:
            async with self._database.write() as session:
                results = await self._quota.add(session, rows)
                added = True
        except BaseException as error:
            if added:
                raise
            defect = isinstance(error, Exception) and not isinstance(error, DatabaseUnavailable)
            if defect and len(images) > 1:
                # A row that the database refuses is no reason to refuse the others.
                return await self._add_one_by_one(images)
            await _discard(images)
            raise
        await _discard([image for image in images if not isinstance(results[image.row.id], Image)])
        return [results[row.id] for row in rows]

    async def _add_one_by_one(self, images: Sequence[_StagedImage]) -> Sequence[Image | Exception]:
        """Add rows each by itself, as long as the database is there."""
        results: list[Image | Exception] = []
        for image in images:
            if results and isinstance(results[-1], DatabaseUnavailable):
                await image.object.discard()
                results.append(DatabaseUnavailable())
                continue
            try:
                results += await self._add([image])
            except Exception as error:  # noqa: BLE001 - handed on to who asked for this one
                results.append(error)
        return results


async def _discard(images: Sequence[_StagedImage]) -> None:
    await asyncio.gather(*(image.object.discard() for image in images))


async def _read_head(chunks: AsyncIterator[bytes]) -> bytes:
    """Read until the type can be told, or to the end of a shorter file."""
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await anext(chunks, b"")):
        head += chunk
    return head
