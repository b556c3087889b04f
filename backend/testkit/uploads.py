"""Uploads as the services take them, without HTTP, and what they leave in rows and storage."""

from collections.abc import AsyncIterator
from datetime import datetime
from ipaddress import ip_address
from uuid import UUID, uuid4

from sqlalchemy import text

from app.database.engine import Database
from app.domain.errors import StorageFull, StorageUnavailable
from app.domain.image import Image
from app.domain.limits import UploadLimits
from app.models import ImageRow
from app.services.idempotency import keyed_file, keyed_files
from app.services.staging import IncomingFile
from app.services.upload import FailedUpload
from app.services.use_cases import Services
from app.storage.base import StagedObject, StorageBackend
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.forms import stream
from testkit.storages import read_all

ADDRESS = ip_address("192.0.2.7")
LIMITS = UploadLimits(max_upload_bytes=10_000, batch_max_files=3, uploads_per_hour_per_ip=0)


class ConnectionLost(Exception):
    """The client left before the end of its upload."""


def file(*chunks: bytes, filename: str | None = "photo.jpg") -> IncomingFile:
    return IncomingFile(filename, stream(chunks))


async def files(*items: IncomingFile) -> AsyncIterator[IncomingFile]:
    for item in items:
        yield item


def broken_off() -> IncomingFile:
    """Return a file whose client leaves after the first chunk."""

    async def chunks() -> AsyncIterator[bytes]:
        yield samples.jpeg()
        raise ConnectionLost

    return IncomingFile("photo.jpg", chunks())


async def read(services: Services, image: Image) -> bytes:
    found = await services.files.find(image.id)
    return await read_all(await services.files.open(found, 0, found.size))


async def upload_once(services: Services, incoming: IncomingFile, key: str = "key") -> Image:
    """Upload a file as a request with an Idempotency-Key, whose answer is the id of the image."""
    async with services.idempotency.keyed("somebody", key, "file") as request:
        if request.answer:
            return await services.images.get(UUID(request.answer.body.decode()))
        image = await services.uploads.upload(keyed_file(request, incoming), None)
        await services.idempotency.keep(request, 201, None, str(image.id).encode())
        return image


async def upload_batch_once(
    services: Services, *incoming: IncomingFile, key: str = "key"
) -> list[Image | FailedUpload]:
    """Upload files as such a request, whose answer is not kept."""
    async with services.idempotency.keyed("somebody", key, "files") as request:
        return await services.uploads.upload_batch(keyed_files(request, files(*incoming)), None)


def row(
    created_at: datetime | None = None, address: str | None = None, **values: object
) -> ImageRow:
    """Make a row of an image, of which no file exists."""
    image_id = uuid4()
    defaults: dict[str, object] = {
        "id": image_id,
        "filename": "photo.jpg",
        "storage_key": f"{image_id.hex}.jpg",
        "content_type": "image/jpeg",
        "file_size": 1234,
        "upload_ip": ip_address(address) if address else None,
    }
    if created_at:
        defaults["created_at"] = created_at
    return ImageRow(**{**defaults, **values})


async def add(database: Database, *rows: ImageRow) -> None:
    async with database.write() as session:
        session.add_all(rows)


async def execute(database: Database, *statements: str) -> None:
    """Carry out statements in one transaction."""
    async with database.write() as session:
        for statement in statements:
            await session.execute(text(statement))


async def row_keys(database: Database) -> list[str]:
    async with database.read() as session:
        return list(await session.scalars(text("SELECT storage_key FROM images")))


async def stored_keys(storage: StorageBackend) -> list[str]:
    return [info.key async for info in storage.list()]


async def assert_nothing_is_left(database: Database, storage: MemoryStorage) -> None:
    assert await stored_keys(storage) == []
    assert await row_keys(database) == []


class Watched(MemoryStorage):
    """Remembers the staged objects, and fails where it should."""

    def __init__(self, fail_in: str = "") -> None:
        super().__init__()
        self.staged: list[WatchedObject] = []
        self.fail_in = fail_in

    async def stage(self, key: str, content_type: str) -> StagedObject:
        staged = WatchedObject(await super().stage(key, content_type), self.fail_in)
        self.staged.append(staged)
        return staged


class WatchedObject:
    def __init__(self, inner: StagedObject, fail_in: str) -> None:
        self.inner = inner
        self.fail_in = fail_in
        self.end = ""

    async def write(self, data: bytes) -> None:
        if self.fail_in == "write":
            raise StorageFull
        await self.inner.write(data)

    async def seal(self) -> None:
        await self.inner.seal()
        self.end = "sealed"

    async def publish(self) -> None:
        if self.fail_in == "publish":
            raise StorageUnavailable
        await self.inner.publish()
        self.end = "published"

    async def discard(self) -> None:
        await self.inner.discard()
        self.end = "discarded"
