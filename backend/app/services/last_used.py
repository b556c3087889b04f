"""When API keys were last used: gathered in memory, and written in groups."""

import asyncio
import logging
from contextvars import Context
from datetime import timedelta
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.observability.reasons import reason
from app.statements.keys import record_use

INTERVAL_SECONDS: Final = 30.0
"""Between two writes. A process that is killed loses what it has gathered since the last one."""
UNLESS_WITHIN: Final = timedelta(seconds=20)
"""Another process has written that the key is used."""
END_SECONDS: Final = 2.0
"""How long the last write may take."""

_log = logging.getLogger(__name__)


class LastUsed:
    """Writes which keys are used, while some are.

    Args:
        database: Where the keys are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._ids: set[UUID] = set()
        self._writing: asyncio.Task[None] | None = None

    def note(self, key_id: UUID) -> None:
        """Have it written that a key is used now."""
        self._ids.add(key_id)
        if self._writing is None:
            # It writes for many requests, so it logs under the id of none.
            self._writing = asyncio.create_task(self._write_from_time_to_time(), context=Context())

    async def close(self) -> None:
        """Write what is gathered."""
        if self._writing:
            self._writing.cancel()
            await asyncio.wait([self._writing])
        try:
            async with asyncio.timeout(END_SECONDS):
                await self._write()
        except TimeoutError:
            _log.warning("it was not written which keys were last used: no answer in time")

    async def _write_from_time_to_time(self) -> None:
        try:
            while self._ids:
                await asyncio.sleep(INTERVAL_SECONDS)
                await self._write()
        finally:
            self._writing = None

    async def _write(self) -> None:
        ids, self._ids = self._ids, set()
        if not ids:
            return
        try:
            async with self._database.write_alone() as session:
                await record_use(session, ids, UNLESS_WITHIN)
        except DatabaseUnavailable as error:
            self._ids |= ids
            _log.warning("it was not written which keys were last used: %s", reason(error))
