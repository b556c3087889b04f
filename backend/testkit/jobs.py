"""The queue's table, as tests fill and read it."""

from sqlalchemy import text

from app.database.engine import Database
from app.domain.job import NewJob
from app.statements.jobs import insert_jobs


async def insert(database: Database, *jobs: NewJob) -> None:
    """Insert jobs in a transaction of their own."""
    async with database.write() as session:
        await insert_jobs(session, jobs)


async def rows(database: Database, columns: str) -> list[tuple[object, ...]]:
    """Return columns of all jobs, in the order in which these were inserted."""
    async with database.read() as session:
        query = f"SELECT {columns} FROM procrastinate_jobs ORDER BY id"  # noqa: S608
        return [tuple(row) for row in await session.execute(text(query))]
