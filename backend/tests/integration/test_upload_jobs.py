"""An upload's job is committed with its row, or neither is."""

import asyncio

import pytest

from app.database.engine import Database
from app.domain.errors import QuotaExceeded, UploadFailed
from app.domain.image import Image
from app.domain.job import RENDER
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.jobs import rows
from testkit.uploads import ADDRESS, LIMITS, execute, file, files

SIZES = (150, 300)
JPEG = samples.jpeg()


async def jobs(database: Database) -> list[tuple[object, ...]]:
    return await rows(database, "task_name, args->>'subject'")


@pytest.mark.parametrize("quota", [0, 100], ids=["unlimited", "with a quota"])
async def test_uploads_at_the_same_time_get_a_job_each(database: Database, quota: int) -> None:
    limits = LIMITS._replace(uploads_per_hour_per_ip=quota)
    services = Services(database, MemoryStorage(), limits, SIZES)
    uploads = [services.uploads.upload(file(JPEG), ADDRESS) for _ in range(20)]
    images = await asyncio.gather(*uploads)
    assert sorted(await jobs(database)) == sorted((RENDER, str(image.id)) for image in images)


async def test_without_thumbnails_there_are_no_jobs(services: Services, database: Database) -> None:
    await services.uploads.upload(file(JPEG), ADDRESS)
    assert await jobs(database) == []


async def test_a_file_over_the_quota_has_no_job(database: Database) -> None:
    limits = LIMITS._replace(uploads_per_hour_per_ip=2)
    services = Services(database, MemoryStorage(), limits, SIZES)
    uploads = [services.uploads.upload(file(JPEG), ADDRESS) for _ in range(3)]
    results = await asyncio.gather(*uploads, return_exceptions=True)
    images = [result for result in results if isinstance(result, Image)]
    assert sorted(await jobs(database)) == sorted((RENDER, str(image.id)) for image in images)
    assert len(images) == 2
    assert sum(isinstance(result, QuotaExceeded) for result in results) == 1


async def test_a_row_that_is_refused_has_no_job_and_hides_no_other(database: Database) -> None:
    await execute(
        database, "ALTER TABLE images ADD CONSTRAINT refused CHECK (filename <> 'no.jpg')"
    )
    services = Services(database, MemoryStorage(), LIMITS, SIZES)
    try:
        results = await services.uploads.upload_batch(
            files(file(JPEG), file(JPEG, filename="no.jpg"), file(JPEG)), None
        )
    finally:
        await execute(database, "ALTER TABLE images DROP CONSTRAINT refused")
    images = [result for result in results if isinstance(result, Image)]
    (failed,) = [result for result in results if not isinstance(result, Image)]
    assert isinstance(failed.error, UploadFailed)
    assert sorted(await jobs(database)) == sorted((RENDER, str(image.id)) for image in images)
