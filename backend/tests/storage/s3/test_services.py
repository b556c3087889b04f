"""What services do with images in a bucket: two processes, comparison, clean-up, backfill."""

import asyncio
import logging
import re
from collections import Counter
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy.engine import URL

from app.config.storage_url import parse_storage_url
from app.database.engine import Database
from app.domain.errors import ImageNotFound, StorageUnavailable
from app.domain.image import Image
from app.domain.limits import UploadLimits
from app.services.backfill import Backfill, Outcome
from app.services.cleanup import CleanUp
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import Kind
from app.services.use_cases import Services
from app.storage.s3.backend import S3Storage
from app.storage.s3.credentials import Credentials
from testkit import samples
from testkit.ceph import Ceph
from testkit.databases import execute
from testkit.programs import needs_ceph
from testkit.relay import Relay
from testkit.renditions import put_thumbnails
from testkit.storages import put, storage_over
from testkit.uploads import file, files, read

pytestmark = needs_ceph

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(9 * 1024 * 1024)
"""One of two parts."""
LIMITS = UploadLimits(max_upload_bytes=len(LARGE), batch_max_files=20, uploads_per_hour_per_ip=0)
ORPHAN = "0" * 32 + ".jpg"
NO_GRACE = timedelta(0)


@pytest.fixture
async def storage(ceph: Ceph, bucket: str) -> AsyncIterator[S3Storage]:
    storage = storage_over(ceph, bucket)
    yield storage
    await storage.close()


@pytest.fixture
async def services(database: Database, storage: S3Storage) -> AsyncIterator[Services]:
    services = Services(database, storage, LIMITS)
    yield services
    await services.close()


async def leave_upload(storage: S3Storage) -> str:
    """Leave what a killed service leaves of a large upload; return its name."""
    staged = await storage.stage("f" * 32, "image/jpeg")
    await staged.write(LARGE)
    (upload,) = [info.key async for info in storage.list_staged()]
    return upload


async def test_a_deleted_image_is_gone_at_once_for_a_process_that_remembers_it(
    services: Services, database: Database, ceph: Ceph, bucket: str
) -> None:
    other = Services(database, storage_over(ceph, bucket), LIMITS)
    image = await services.uploads.upload(file(JPEG), None)
    for _ in range(2):
        assert await read(other, image) == JPEG
    found = await other.files.find(image.id)
    assert found is await other.files.find(image.id)
    await services.deletion.delete(image.id)
    for look in (other.files.require_present(found), other.files.open(found, 0, 1)):
        with pytest.raises(ImageNotFound):
            await look
    await other.close()
    await other.files._storage.close()


async def test_a_batch_is_stored_with_files_of_all_sizes(services: Services) -> None:
    contents = [JPEG, LARGE, JPEG, LARGE]
    images = await services.uploads.upload_batch(files(*map(file, contents)), None)
    assert [await read(services, image) for image in images if isinstance(image, Image)] == contents


async def test_rows_and_objects_are_compared_and_what_is_left_is_removed(
    services: Services, storage: S3Storage, database: Database
) -> None:
    images = [await services.uploads.upload(file(JPEG), None) for _ in range(3)]
    async with database.write() as session:
        await put_thumbnails(session, storage, images[0])
    await put(storage, ORPHAN, b"x")
    upload = await leave_upload(storage)
    await storage.delete(images[1].storage_key)
    check = ConsistencyCheck(database, storage, NO_GRACE, checksums=True)
    findings = {finding.kind: finding async for finding in check.find(lambda _row: None)}
    assert {kind: finding.key for kind, finding in findings.items()} == {
        Kind.FILE_WITHOUT_ROW: ORPHAN,
        Kind.ROW_WITHOUT_FILE: images[1].storage_key,
        Kind.OLD_STAGING_FILE: upload,
    }
    for finding in findings.values():
        assert await check.repair(finding, delete_broken_rows=True)
    assert [finding async for finding in check.find(lambda _row: None)] == []
    assert not check.has_unlisted_uploads


async def test_what_is_younger_than_the_grace_period_is_left_alone(
    services: Services, storage: S3Storage, database: Database
) -> None:
    await services.uploads.upload(file(JPEG), None)
    await put(storage, ORPHAN, b"x")
    await leave_upload(storage)
    check = ConsistencyCheck(database, storage, timedelta(hours=1))
    assert [finding async for finding in check.find(lambda _row: None)] == []


@pytest.fixture
async def listing_no_uploads(
    ceph: Ceph, bucket: str, relay: tuple[str, Relay]
) -> AsyncIterator[S3Storage]:
    """Yield a storage over a store that lists no unfinished uploads."""
    address, through = relay
    location = parse_storage_url(f"s3://{bucket}?endpoint={address}")
    storage = S3Storage(location, Credentials(ceph.access_key, ceph.secret_key))
    through.alter = lambda received: re.sub(
        rb"<Upload>.*</Upload>", lambda found: b" " * len(found[0]), received
    )
    yield storage
    await storage.close()


async def test_leftovers_in_a_store_that_lists_none_are_unknown(
    database: Database,
    services: Services,
    listing_no_uploads: S3Storage,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    await services.uploads.upload(file(JPEG), None)
    storage = listing_no_uploads
    check = ConsistencyCheck(database, storage, NO_GRACE)
    assert [finding async for finding in check.find(lambda _row: None)] == []
    assert check.has_unlisted_uploads
    await CleanUp(database, storage).run()
    assert "clean-up: removed nothing" in caplog.text
    assert "a lifecycle rule of the bucket must abort them" in caplog.text


async def test_the_nightly_clean_up_finds_another_bucket_and_leaves_it_alone(
    services: Services,
    database: Database,
    ceph: Ceph,
    caplog: pytest.LogCaptureFixture,
) -> None:
    await services.uploads.upload(file(JPEG), None)
    wrong = storage_over(ceph, await asyncio.to_thread(ceph.make_bucket))
    await put(wrong, ORPHAN, b"x")
    await CleanUp(database, wrong).run()
    assert "nothing is cleaned up: The image storage s3://" in caplog.text
    assert (await wrong.stat(ORPHAN)).size == 1
    await wrong.close()


async def test_rows_of_earlier_versions_are_completed(
    services: Services, storage: S3Storage, database: Database, database_url: URL
) -> None:
    images = [await services.uploads.upload(file(content), None) for content in (JPEG, LARGE)]
    await execute(database_url, "UPDATE images SET checksum = NULL, width = NULL, height = NULL")
    outcomes = Counter[Outcome]()
    await Backfill(database, storage).run(lambda _row, outcome: outcomes.update([outcome]))
    assert outcomes == {Outcome.FILLED_IN: 2}
    for image in images:
        assert (await services.images.get(image.id)).checksum == image.checksum


async def test_a_store_that_is_away_makes_no_image_missing(
    services: Services, ceph: Ceph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.storage.s3.calls.RETRY_SECONDS", 0.0)
    image = await services.uploads.upload(file(JPEG), None)
    ceph.gateway.kill()
    try:
        with pytest.raises(StorageUnavailable):
            await read(services, image)
        with pytest.raises(StorageUnavailable):
            await services.uploads.upload(file(JPEG), None)
    finally:
        await asyncio.to_thread(ceph.start_gateway)
    assert await read(services, image) == JPEG
