"""Readiness says what of the service cannot be used, and for how long jobs have waited."""

from app.database.engine import Database
from app.domain.errors import StorageUnavailable
from app.domain.job import NewJob
from app.services.use_cases import Services
from app.statements.jobs import insert_jobs
from app.storage.memory import MemoryStorage
from testkit import samples
from testkit.uploads import LIMITS, execute

JPEG = samples.jpeg()
PNG = samples.png()


async def test_outages_name_what_is_down(storage: MemoryStorage, services: Services) -> None:
    assert await services.readiness.outages() == {}

    class Down(MemoryStorage):
        async def probe(self) -> None:
            raise StorageUnavailable

    unavailable = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    down = Services(unavailable, Down(), LIMITS)
    assert list(await down.readiness.outages()) == ["database", "storage"]
    down = Services(unavailable, storage, LIMITS)
    assert list(await down.readiness.outages()) == ["database"]


async def test_the_age_of_the_oldest_job_is_read_where_the_database_can_be_asked(
    database: Database, services: Services, storage: MemoryStorage
) -> None:
    assert await services.readiness.oldest_job_seconds() == 0
    async with database.write() as session:
        await insert_jobs(session, [NewJob("render", "a"), NewJob("render", "b")])
    await execute(
        database,
        "UPDATE procrastinate_jobs SET created_at = created_at - interval '1 hour' "
        "WHERE args->>'subject' = 'a'",
    )
    again = Services(database, storage, LIMITS).readiness
    assert 3600 <= (await again.oldest_job_seconds() or 0) < 4000
    unavailable = Database("postgresql+asyncpg://127.0.0.1:1/nothing")
    assert await Services(unavailable, storage, LIMITS).readiness.oldest_job_seconds() is None
