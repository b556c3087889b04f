"""procrastinate's statements over the service's own connections: one pool, URL and TLS setup."""

import re
from functools import lru_cache
from typing import Any

from procrastinate import BaseConnector, connector

from app.database.engine import Database

_PARAMETER = re.compile(r"%\((\w+)\)s")


class EngineConnector(connector.BaseAsyncConnector):
    """Executes each statement by itself.

    Args:
        database: Where the queue is.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def get_sync_connector(self) -> BaseConnector:
        """Return this one, which is not used without an event loop."""
        return self

    async def execute_query_async(self, query: str, **arguments: object) -> None:
        """Execute a statement for its effect."""
        await self.execute_query_all_async(query, **arguments)

    async def execute_query_one_async(self, query: str, **arguments: object) -> dict[str, Any]:
        """Execute a statement, and return its only row."""
        (row,) = await self.execute_query_all_async(query, **arguments)
        return row

    async def execute_query_all_async(
        self, query: str, **arguments: object
    ) -> list[dict[str, Any]]:
        """Execute a statement, and return its rows.

        Raises:
            DatabaseUnavailable: If it is; it leaves open whether the statement took place.
        """
        statement, names = _numbered(query)
        values = tuple(arguments[name] for name in names)
        async with self._database.write_alone() as session:
            connection = await session.connection()
            result = await connection.exec_driver_sql(statement, values)
            return [dict(row) for row in result.mappings()]


@lru_cache
def _numbered(query: str) -> tuple[str, list[str]]:
    """Return a statement with the driver's parameters, and their names in order."""
    names = list(dict.fromkeys(_PARAMETER.findall(query)))
    return _PARAMETER.sub(lambda match: f"${names.index(match[1]) + 1}", query), names
