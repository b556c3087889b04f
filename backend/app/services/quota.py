"""How many images one subscriber may add within an hour (ADR 0025).

Exact with any number of processes: the transaction that inserts rows locks the quotas that they
count towards, counts once, and inserts what fits. Rows of many uploads share it (ADR 0014), so a
subscriber who sends many at once costs the database no more than one who sends a few.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from time import monotonic
from typing import Final
from uuid import UUID

from app.database.engine import Database, WriteSession
from app.domain.errors import DatabaseUnavailable, QuotaExceeded
from app.domain.image import Image, NewImage
from app.domain.ip_address import IpAddress
from app.domain.limits import subscriber_of
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.runtime.expiring import ExpiringMap
from app.statements.images import insert_images
from app.statements.quota import Usage, count_usage, insert_within_quota, lock_quotas

REMEMBERED: Final = 10_000
REMEMBERED_SECONDS: Final = 1.0
"""How many subscribers' remaining places are remembered, and for how long."""


@dataclass(slots=True)
class _Places:
    left: int
    """How many more files of a subscriber are accepted before the database is asked again."""


class UploadQuota:
    """The quota of each subscriber.

    Args:
        database: Where the rows that count are.
        limit: Images an hour; 0 = unlimited.
    """

    def __init__(self, database: Database, limit: int, observer: Observer = SILENT) -> None:
        self._database = database
        self._limit = limit
        self._usages = Batcher(
            "address_quotas", self._count, refusal=DatabaseUnavailable, observer=observer
        )
        self._places = ExpiringMap[IpAddress, _Places](REMEMBERED, REMEMBERED_SECONDS)

    async def require(self, address: IpAddress | None, files: int = 1) -> None:
        """Refuse an address that has used up its quota before it sends the next file.

        The database is asked once for as many files as it has places left, at most once a second.

        Args:
            address: Where the file comes from; None = it counts towards no quota.
            files: How many places it takes, 0 if it will be asked about again.

        Raises:
            QuotaExceeded: If it has.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if not self._limit or address is None:
            return
        subscriber = subscriber_of(address)
        places = self._places.get(subscriber)
        if not (places and places.left):
            asked_at = monotonic()
            usage = await self._usages.submit(subscriber)
            if usage.images >= self._limit:
                raise self._exceeded(usage)
            places = self._places.put(subscriber, _Places(self._limit - usage.images), asked_at)
        places.left -= files

    async def insert(
        self,
        session: WriteSession,
        rows: Sequence[NewImage],
        tasks: frozenset[str],
        traces: Mapping[UUID, str],
    ) -> dict[UUID, Image | QuotaExceeded]:
        """Insert the rows for which a place is left, first come, first served, and jobs.

        Until the transaction ends, others that insert rows of the same subscribers wait.

        Args:
            session: The transaction.
            rows: Of the images.
            tasks: Of the jobs.
            traces: Which the jobs of some images are part of.

        Returns:
            For each row its image, or why it is not stored.
        """
        subscribers = {row.id: subscriber_of(row.upload_ip) for row in rows if row.upload_ip}
        if not rows:
            return {}
        if not self._limit or not subscribers:
            return {**await insert_images(session, rows, tasks, traces)}
        await lock_quotas(session, subscribers.values())
        stored = await insert_within_quota(session, rows, self._limit, tasks, traces)
        refused = {row.id: subscribers[row.id] for row in rows if row.id not in stored}
        if not refused:
            return {**stored}
        usages = await count_usage(session, refused.values())
        return stored | {
            image_id: self._exceeded(usages[subscriber]) for image_id, subscriber in refused.items()
        }

    async def _count(self, subscribers: Sequence[IpAddress]) -> Sequence[Usage]:
        async with self._database.read() as session:
            usages = await count_usage(session, subscribers)
        return [usages[subscriber] for subscriber in subscribers]

    def _exceeded(self, usage: Usage) -> QuotaExceeded:
        return QuotaExceeded(self._limit, usage.images, retry_after=usage.seconds)
