"""The file of an upload: staged while its bytes arrive, then published, which makes it durable."""

from collections.abc import AsyncIterator
from typing import Literal, NamedTuple
from uuid import UUID, uuid4

from app.domain.errors import EmptyFile, FileTooLarge, InvalidFileType
from app.domain.filenames import sanitize_filename
from app.domain.image import NewImage
from app.domain.ip_address import IpAddress
from app.imaging.formats import HEAD_BYTES, ImageType, detect
from app.imaging.inspection import Facts, Inspection
from app.observability.logs import trace_id
from app.services.identity import StorageIdentity
from app.services.keyed import KeyedFile
from app.services.stripping import without_metadata
from app.storage.base import StagedObject, StorageBackend


class UploadOptions(NamedTuple):
    """What an upload asks for its files."""

    strip_metadata: bool | None = None
    """Whether they are to lose their metadata; None = as the service usually does."""
    is_public: bool = True
    """Whether anybody may fetch them."""
    on_duplicate: Literal["store", "return"] = "store"
    """What becomes of a file whose bytes are already those of an image of the same owner."""


class IncomingFile(NamedTuple):
    """A file on its way in."""

    filename: str | None
    """The client's name for it; not to be trusted."""
    chunks: AsyncIterator[bytes]
    """Its bytes, in pieces that are not empty; raises where the file is broken off."""
    options: UploadOptions = UploadOptions()
    keyed: KeyedFile | None = None
    """Where it is of a request with an Idempotency-Key: what is known of it as such."""
    least_bytes: int = 1
    """How many bytes it has at least, as far as that is known before they arrive."""


class StagedImage(NamedTuple):
    """A file that has arrived, and its row, which lacks what publishing adds."""

    row: NewImage
    object: StagedObject
    facts: Facts
    keyed: KeyedFile | None = None
    """As that of the incoming file."""
    on_duplicate: Literal["store", "return"] = "store"
    """As in `UploadOptions`."""
    trace_id: str = ""
    """Which its jobs are part of: that of its request."""


class Staging:
    """Stages and publishes the files of uploads.

    Args:
        storage: Where the files go.
        identity: Makes sure that it is the right one.
        max_upload_bytes: The largest file that may arrive.
        strip_metadata: Whether files lose their metadata, unless their upload says otherwise.
    """

    def __init__(
        self,
        storage: StorageBackend,
        identity: StorageIdentity,
        max_upload_bytes: int,
        *,
        strip_metadata: bool = False,
    ) -> None:
        self._storage = storage
        self._identity = identity
        self._max_upload_bytes = max_upload_bytes
        self._strip_metadata = strip_metadata

    def strips(self, file: IncomingFile) -> bool:
        """Return whether a file loses its metadata, and with them some of its bytes."""
        asked = file.options.strip_metadata
        return self._strip_metadata if asked is None else asked

    async def stage(
        self, file: IncomingFile, address: IpAddress | None, owner_id: UUID | None = None
    ) -> StagedImage:
        """Write a file as it arrives, judging its type by its head and its size while counting.

        What is found out about it, its size included, is of the bytes that are stored.

        Raises:
            UploadRejected: `InvalidFileType`, `EmptyFile`, `FileTooLarge` or
                `MetadataNotRemovable`.
            StorageError: If the file cannot be written.
        """
        chunks = _limited(file.chunks, self._max_upload_bytes)
        chunk = await _read_head(chunks)
        if not chunk:
            raise EmptyFile
        image_type = detect(chunk)
        if image_type is None:
            raise InvalidFileType(is_named=file.filename is not None)
        if self.strips(file):
            chunks = without_metadata(chunk, chunks, image_type)
            chunk = await _read_head(chunks)
        image_id = uuid4()
        key = image_id.hex + image_type.extension
        await self._identity.require()
        staged = await self._storage.stage(key, image_type.value)
        inspection = Inspection(image_type)
        size = 0
        try:
            while chunk:
                size += len(chunk)
                inspection.feed(chunk)
                await staged.write(chunk)
                chunk = await anext(chunks, b"")
            if not inspection.is_image:
                raise InvalidFileType(is_named=file.filename is not None)
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
            owner_id=owner_id,
            is_public=file.options.is_public,
        )
        facts, options = inspection.facts(), file.options
        return StagedImage(row, staged, facts, file.keyed, options.on_duplicate, trace_id.get())

    async def publish(self, image: StagedImage) -> StagedImage:
        """Make a file durable, and return it with its complete row; discard it on failure.

        Raises:
            StorageError: If the file cannot be made durable.
        """
        try:
            checksum = await image.object.publish()
            facts = image.facts
            if facts.truncated is None:
                facts = facts._replace(truncated=await self._is_truncated(image.row))
        except BaseException:
            await image.object.discard()
            raise
        return image._replace(row=image.row._replace(checksum=checksum, **facts._asdict()))

    async def _is_truncated(self, row: NewImage) -> bool | None:
        """Search all of a file that does not end with the image's end for it, as few do not."""
        inspection = Inspection(ImageType(row.content_type), everywhere=True)
        reader = await self._storage.open(row.storage_key)
        try:
            while inspection.truncated and (block := await reader.read()):
                inspection.feed(block)
        finally:
            await reader.close()
        return inspection.truncated


async def _limited(chunks: AsyncIterator[bytes], max_bytes: int) -> AsyncIterator[bytes]:
    """Pass on what arrives; raise `FileTooLarge` where it is more than allowed."""
    size = 0
    async for chunk in chunks:
        size += len(chunk)
        if size > max_bytes:
            raise FileTooLarge(max_bytes, size)
        yield chunk


async def _read_head(chunks: AsyncIterator[bytes]) -> bytes:
    """Read until the type can be detected, or to the end of a shorter file."""
    head = b""
    while len(head) < HEAD_BYTES and (chunk := await anext(chunks, b"")):
        head += chunk
    return head
