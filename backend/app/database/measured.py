"""A database whose statements, errors and pool are observed (ADR 70)."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from time import perf_counter
from typing import Any, Final

from asyncpg import PostgresError
from sqlalchemy import event
from sqlalchemy.engine import URL
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.pool import AsyncAdaptedQueuePool, PoolProxiedConnection

from app.database.engine import Database, WriteSession
from app.database.names import StatementNames
from app.domain.errors import DatabaseUnavailable
from app.observability.observer import Observer, PoolState

_COMMIT: Final = "commit"


class MeasuredDatabase(Database):
    """Does as `Database`; its statements begin with a comment, their name.

    Args:
        url: As of `Database`.
        connections: As of `Database`.
        observer: Told of statements and errors; looks at the pool.
        maintenance: As of `Database`; the pool, for which no client waits, is not looked at.
    """

    def __init__(
        self, url: str | URL, connections: int, observer: Observer, *, maintenance: bool = False
    ) -> None:
        self._observer = observer
        self._names = StatementNames()
        super().__init__(url, connections, maintenance=maintenance)
        if not maintenance:
            observer.watch_pool(self.pool_state)

    def pool_state(self) -> PoolState:
        """Return how many connections are used, and who waits for one."""
        pool = self._engine.sync_engine.pool
        assert isinstance(pool, _Pool)  # noqa: S101 - as made below
        return PoolState(pool.size(), pool.checkedout(), pool.checkedin(), pool.waiting)

    @asynccontextmanager
    async def write(self) -> AsyncIterator[WriteSession]:
        """Open a transaction, as `Database.write` does."""
        async with super().write() as session:
            yield session
            begin = perf_counter()
        self._observer.statement(_COMMIT, perf_counter() - begin)

    def _make_engine(self, *, maintenance: bool, **pool: Any) -> AsyncEngine:  # noqa: ANN401 - as SQLAlchemy
        engine = super()._make_engine(maintenance=maintenance, **{"poolclass": _Pool} | pool)
        dialect = engine.dialect
        for name in ("do_execute", "do_executemany"):
            event.listen(engine.sync_engine, name, self._measured(getattr(dialect, name)))
        return engine

    def _measured(self, execute: Callable[..., None]) -> Callable[..., bool]:
        """Return what executes a statement instead, and says so."""

        def execute_measured(cursor: object, statement: str, *arguments: object) -> bool:
            name = self._names.current()
            begin = perf_counter()
            try:
                execute(cursor, f"/* {name} */ {statement}", *arguments)
            finally:
                self._observer.statement(name, perf_counter() - begin)
            return True

        return execute_measured

    @contextmanager
    def _translated_errors(
        self, full: type[DatabaseUnavailable] = DatabaseUnavailable
    ) -> Iterator[None]:
        try:
            with super()._translated_errors(full):
                yield
        except (DatabaseUnavailable, PostgresError, SQLAlchemyError) as error:
            self._observer.database_error(_class_of(error))
            raise


class _Pool(AsyncAdaptedQueuePool):
    """Counts who waits for a connection."""

    _sqla_logger_namespace = "sqlalchemy.pool"  # not by the name of this module, which logs more
    waiting = 0

    def connect(self) -> PoolProxiedConnection:
        """Return a connection, once one is free or has been opened."""
        self.waiting += 1
        try:
            return super().connect()
        finally:
            self.waiting -= 1


def _class_of(error: BaseException) -> str:
    """Return the class of what the driver raised, from which an error comes."""
    while isinstance(error.__cause__, Exception):  # not the cancellation by which a deadline ends
        error = error.__cause__
    return "PoolTimeout" if isinstance(error, PoolTimeoutError) else type(error).__name__
