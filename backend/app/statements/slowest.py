"""Statements about statements: what the database counts of them, where it has pg_stat_statements.

Its administrator decides that, and nothing here needs a right that a role lacks: of the statements
of others, the database conceals what they are.
"""

from typing import Final

from sqlalchemy import text

from app.database.engine import ReadSession
from app.observability.figures import StatementTotals

# Made, it counts nothing unless the server was started with its library, which brings its settings.
_SCHEMA: Final = text("""
    SELECT extnamespace::regnamespace::text FROM pg_extension
    WHERE extname = 'pg_stat_statements' AND current_setting('pg_stat_statements.max', true) <> ''
""")
_SLOWEST: Final = r"""
    SELECT coalesce(substring(query FROM '^/\* ([a-z_.]+) \*/'), queryid::text) AS name,
           sum(total_exec_time) / 1000, sum(calls)::bigint
    FROM {schema}.pg_stat_statements
    WHERE dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
          AND queryid IS NOT NULL
    GROUP BY name ORDER BY 2 DESC LIMIT :limit
"""


async def list_slowest(session: ReadSession, limit: int) -> list[StatementTotals]:
    """Read up to `limit` statements, those that took longest in all first; none if none counts."""
    schema = await session.scalar(_SCHEMA)
    if schema is None:
        return []
    rows = await session.execute(text(_SLOWEST.format(schema=schema)), {"limit": limit})
    return [StatementTotals(*row) for row in rows]
