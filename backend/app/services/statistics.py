"""How often images are downloaded: counted in memory, and added to the database in groups.

So no download waits for a statement, and the row of an image in demand changes once in an interval
(ADR 0064). A process that is killed loses what it has counted since the last one.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from contextvars import Context
from datetime import UTC, datetime
from time import time
from typing import Final
from uuid import UUID

from app.database.engine import Database
from app.domain.actor import ADMINISTRATOR, Actor
from app.domain.errors import DatabaseUnavailable
from app.observability.reasons import reason
from app.services.images import Images
from app.statements.statistics import Day, Totals, add_downloads, find_downloads

INTERVAL_SECONDS: Final = 5.0
"""How long downloads are in memory alone."""
MOST_COUNTED: Final = 50_000
"""Images and days that are in memory, 15 MB; more are not counted while the database is
unavailable."""
AT_ONCE: Final = 2_000
"""Rows of one statement."""
MOST_DAYS: Final = 366
"""Of an image, in one answer."""
CLOSE_SECONDS: Final = 3.0
"""How long the last group may take when the service ends."""
_DAY_SECONDS: Final = 86_400

_log = logging.getLogger(__name__)


_Counted = dict[tuple[float, int], list[int]]
"""Downloads and bytes by day, since 1970, and image: its id as a number, for that is hashed at
once, and a UUID's hash takes as long as all else that a download pays here."""


class Statistics:
    """The downloads of images.

    Args:
        database: Where they are counted in the end.
        images: Finds out whose they are.
    """

    def __init__(self, database: Database, images: Images) -> None:
        self._database = database
        self._images = images
        self._counted: _Counted = {}
        self._missed = 0

    def count(self, image_id: UUID, start: int, sent: int) -> None:
        """Count bytes of a file that were sent, and as a download of it if its first one was.

        Args:
            image_id: Whose file it is.
            start: How many bytes of the file come before those.
            sent: How many they are.
        """
        key = time() // _DAY_SECONDS, image_id.int
        counted = self._counted.get(key)
        if counted is None:
            if len(self._counted) >= MOST_COUNTED:
                self._missed += 1
                return
            counted = self._counted[key] = [0, 0]
        if not start:
            counted[0] += 1
        counted[1] += sent

    async def find(self, image_id: UUID, actor: Actor = ADMINISTRATOR) -> Totals:
        """Return the downloads of an image, as they were `INTERVAL_SECONDS` ago at the latest.

        Raises:
            ImageNotFound: If there is none with this id that the actor reaches.
            DatabaseUnavailable: If the database cannot be asked.
        """
        await self._images.details(image_id, actor)
        async with self._database.read() as session:
            return await find_downloads(session, image_id, MOST_DAYS)

    @asynccontextmanager
    async def recorded(self) -> AsyncIterator[None]:
        """Add what is counted to the database, again and again, and at the end of the block."""
        end = asyncio.Event()
        task = asyncio.create_task(self._record(end), context=Context())
        try:
            yield
        finally:
            end.set()
            await asyncio.wait([task], timeout=CLOSE_SECONDS)
            task.cancel()
            await asyncio.wait([task])

    async def flush(self) -> None:
        """Add what is counted to the database, or keep it for the next time.

        Where the database does not answer it is not known whether it has added them, and what is
        kept may be counted twice.
        """
        counted = [*self._counted.items()]
        self._counted = {}
        if self._missed:
            _log.warning("%d downloads are in no statistics: too many waited", self._missed)
            self._missed = 0
        while counted:
            group = counted[:AT_ONCE]
            try:
                async with self._database.write_alone() as session:
                    await add_downloads(session, [_row(*key, *sums) for key, sums in group])
            except DatabaseUnavailable as error:
                _log.warning("downloads are not counted yet: %s", reason(error))
                self._keep(counted)
                return
            counted = counted[AT_ONCE:]

    def _keep(self, counted: list[tuple[tuple[float, int], list[int]]]) -> None:
        for key, (downloads, size) in counted:
            if key not in self._counted and len(self._counted) >= MOST_COUNTED:
                self._missed += downloads
                continue
            sums = self._counted.setdefault(key, [0, 0])
            sums[0] += downloads
            sums[1] += size

    async def _record(self, end: asyncio.Event) -> None:
        while not end.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(INTERVAL_SECONDS):
                    await end.wait()
            try:
                await self.flush()
            except Exception:  # noqa: BLE001 - a defect, which must not end the counting
                _log.exception("downloads are not counted")


def _row(day: float, image_id: int, downloads: int, size: int) -> tuple[UUID, Day]:
    date = datetime.fromtimestamp(day * _DAY_SECONDS, UTC).date()
    return UUID(int=image_id), Day(date, downloads, size)
