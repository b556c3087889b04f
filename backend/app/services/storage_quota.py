"""What the images of one user may be in all: bytes and images (ADR 0063).

Exact with any number of processes: what a user uses is a column of their row, which changes in the
transactions that insert and delete their images. Images of many uploads share a transaction (ADR
0014), so many uploads of one user change it no more often than those of many users do.
"""

from collections.abc import Sequence
from time import monotonic
from typing import Final
from uuid import UUID

from app.database.engine import Database, WriteSession
from app.domain.errors import DatabaseUnavailable, StorageQuotaExceeded
from app.domain.image import NewImage
from app.domain.limits import StorageUse
from app.domain.user_errors import InvalidKey
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.runtime.expiring import ExpiringMap
from app.statements.storage_use import add_use, find_uses, total_of

REMEMBERED: Final = 10_000
REMEMBERED_SECONDS: Final = 1.0
"""How many users' room is remembered, and for how long."""


class StorageQuota:
    """The storage quota of each user; what nobody owns has none.

    Args:
        database: Where users and images are.
    """

    def __init__(self, database: Database, observer: Observer = SILENT) -> None:
        self._database = database
        self._uses = Batcher(
            "user_quotas", self._find, refusal=DatabaseUnavailable, observer=observer
        )
        self._with_room = ExpiringMap[UUID, StorageUse](REMEMBERED, REMEMBERED_SECONDS)

    async def require(self, owner_id: UUID | None, size: int) -> None:
        """Refuse the file of a user that has no room, before it is read.

        A user who has room is asked about once a second at most: this decides nothing, `admit`
        does. That there is none is never remembered, so a deleted image makes room at once.

        Args:
            owner_id: The user; None = the file will be nobody's.
            size: Bytes that the file has at least.

        Raises:
            StorageQuotaExceeded: If not even so many bytes have room.
            DatabaseUnavailable: If the database cannot be asked.
        """
        if owner_id is None:
            return
        known = self._with_room.get(owner_id)
        if known and not _excess(known, size):
            return
        asked_at = monotonic()
        use = await self._uses.submit(owner_id)
        if use is None:
            return
        if error := _excess(use, size):
            raise error
        self._with_room.put(owner_id, use, asked_at)

    async def admit(
        self, session: WriteSession, rows: Sequence[NewImage]
    ) -> dict[UUID, StorageQuotaExceeded | InvalidKey]:
        """Count rows that are to be inserted as far as they have room, first come, first served.

        Until the transaction ends, others that insert or delete images of the same users wait. What
        is not inserted after all must be taken back by `release`.

        Returns:
            Of each row that must not be inserted why; `InvalidKey` if its owner is no more.
        """
        wanted = total_of((row.owner_id, row.file_size) for row in rows)
        if not wanted:
            return {}
        uses = {
            owner: use._replace(
                used_bytes=use.used_bytes - wanted[owner][0],
                used_images=use.used_images - wanted[owner][1],
            )
            for owner, use in (await add_use(session, wanted)).items()
        }
        refused: dict[UUID, StorageQuotaExceeded | InvalidKey] = {}
        for row in rows:
            if row.owner_id is None:
                continue
            use = uses.get(row.owner_id)
            if use is None:
                refused[row.id] = InvalidKey()
            elif error := _excess(use, row.file_size):
                refused[row.id] = error
            else:
                uses[row.owner_id] = use._replace(
                    used_bytes=use.used_bytes + row.file_size, used_images=use.used_images + 1
                )
        await self.release(session, [row for row in rows if row.id in refused])
        return refused

    async def release(self, session: WriteSession, rows: Sequence[NewImage]) -> None:
        """Take back rows that were counted and are not inserted, in the same transaction."""
        if unused := total_of(((row.owner_id, row.file_size) for row in rows), -1):
            await add_use(session, unused)

    async def _find(self, owner_ids: Sequence[UUID]) -> Sequence[StorageUse | None]:
        async with self._database.read() as session:
            found = await find_uses(session, owner_ids)
        return [found.get(owner_id) for owner_id in owner_ids]


def _excess(use: StorageUse, size: int) -> StorageQuotaExceeded | None:
    """Return why a file of so many bytes has no room; None if it has."""
    if use.quota_images is not None and use.used_images >= use.quota_images:
        return StorageQuotaExceeded("quota_images", use.quota_images, use.used_images, 1)
    if use.quota_bytes is not None and use.used_bytes + size > use.quota_bytes:
        return StorageQuotaExceeded("quota_bytes", use.quota_bytes, use.used_bytes, size)
    return None
