"""Databases of tests: making their tables, and carrying out statements past the service."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from sqlalchemy import event, text
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from app.database.engine import Database, WriteSession
from app.database.migration import migrate
from testkit.live import TIMEOUT


async def prepare(url: URL) -> None:
    """Make the tables, as `make migrate` does."""
    await migrate(Database(url), lambda _line: None)


async def execute(url: URL, *statements: str) -> list[tuple[Any, ...]]:
    """Carry out statements, each committed by itself; return the rows of the last one."""
    rows: list[tuple[Any, ...]] = []
    engine = create_async_engine(url, isolation_level="AUTOCOMMIT")
    try:
        async with engine.connect() as connection:
            for statement in statements:
                result = await connection.execute(text(statement))
                rows = [tuple(row) for row in result] if result.returns_rows else []
    finally:
        await engine.dispose()
    return rows


async def select_one(database: Database) -> int:
    """Ask the database the simplest question, as the service would."""
    async with database.read() as session:
        value: int = (await session.execute(text("SELECT 1"))).scalar_one()
        return value


async def fetch_value(url: URL, statement: str) -> object:
    """Return the first value of the first row."""
    database = Database(url)
    async with database.read() as session:
        value: object = (await session.execute(text(statement))).scalar()
    await database.close()
    return value


async def until_a_statement_waits_for_a_lock(database: Database) -> None:
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    async with asyncio.timeout(TIMEOUT):
        count = 0
        while not count:
            async with database.read() as session:
                count = await session.scalar(waiting)


async def explain(database: Database, act: Callable[[WriteSession], Awaitable[object]]) -> str:
    """Run a statement, and return the plan of the last one that was sent, as it was sent."""
    sent: list[tuple[str, Any]] = []
    engine = database._engine

    def note(_c: object, _k: object, statement: str, parameters: object, *_: object) -> None:
        sent.append((statement, parameters))

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    async with database.write() as session:
        await act(session)
    event.remove(engine.sync_engine, "before_cursor_execute", note)
    statement, parameters = sent[-1]
    async with engine.connect() as connection:
        plan = await connection.exec_driver_sql(f"EXPLAIN {statement}", tuple(parameters))
        return "\n".join(plan.scalars())
