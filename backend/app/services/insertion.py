"""Inserting the rows of published files; those of many uploads share a transaction (ADR 0014)."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final
from uuid import UUID

from app.database.engine import Database, WriteSession
from app.domain.errors import DatabaseUnavailable, ImageHostError, UploadUnderWay
from app.domain.image import Image, NewImage
from app.observability.observer import SILENT, Observer
from app.runtime.batching import Batcher
from app.services.keyed import find_lost, record
from app.services.quota import UploadQuota
from app.services.staging import StagedImage
from app.services.storage_quota import StorageQuota

DRAIN_SECONDS: Final = 4.0
"""How long rows may take that are not committed when the service ends.

It has waited for their requests, so the database hangs by then; and a supervisor, or whoever runs
the service, kills it soon.
"""


class Insertion:
    """Inserts rows, as far as quotas allow.

    Args:
        database: Where the rows go.
        quota: How many each subscriber may add.
        storage_quota: How much each user may have.
        tasks: For which of them jobs are inserted too.
        observer: Told what was stored.
    """

    def __init__(
        self,
        database: Database,
        quota: UploadQuota,
        storage_quota: StorageQuota,
        tasks: frozenset[str],
        observer: Observer = SILENT,
    ) -> None:
        self._database = database
        self._quota = quota
        self._storage_quota = storage_quota
        self._tasks = tasks
        self._observer = observer
        self._batches = Batcher(
            "insertions", self._insert, refusal=DatabaseUnavailable, observer=observer
        )

    async def insert(self, image: StagedImage) -> Image:
        """Commit the row of a published file, even if the caller is cancelled while it waits.

        Raises:
            QuotaExceeded: If no place is left; the file is discarded.
            StorageQuotaExceeded: If there is no room; the same.
            InvalidKey: If the owner was deleted; the same.
            UploadUnderWay: If somebody else has claimed its request; the file is discarded.
            DatabaseUnavailable: If the row cannot be stored, or it is unknown whether it was.
        """
        if image.keyed:
            image.keyed.request.may_have_stored = True
        try:
            insertion = self._batches.submit(image)
        except DatabaseUnavailable:
            await image.object.discard()
            raise
        return await asyncio.shield(insertion)

    async def drain(self) -> None:
        """Wait until all rows that were submitted are committed, or failed; cancel late ones."""
        await self._batches.drain(DRAIN_SECONDS)

    async def _insert(self, images: Sequence[StagedImage]) -> Sequence[Image | Exception]:
        """Commit rows in one transaction, if need be each in its own.

        A failure before the rows are inserted discards the files, as a quota that is used up does.
        After that the commit may have taken place, whatever the error says, so nothing is removed:
        a file without a row is harmless.
        """
        inserted = False
        try:
            async with self._database.write() as session:
                results = await self._insert_held(session, images)
                inserted = True
        except BaseException as error:
            if inserted:
                raise
            is_defect = isinstance(error, Exception) and not isinstance(error, DatabaseUnavailable)
            if is_defect and len(images) > 1:
                # A row that the database refuses is no reason to refuse the others.
                return await self._insert_one_by_one(images)
            await _discard(images)
            raise
        await _discard([image for image in images if not isinstance(results[image.row.id], Image)])
        for result in results.values():
            if isinstance(result, Image):
                self._observer.upload(result.file_size)
        return [results[image.row.id] for image in images]

    async def _insert_held(
        self, session: WriteSession, images: Sequence[StagedImage]
    ) -> dict[UUID, Image | ImageHostError]:
        """Insert the rows of requests that nobody else has claimed: of those with a key, too."""
        keyed = {image.row.id: image.keyed for image in images if image.keyed}
        lost = await find_lost(session, keyed) if keyed else set()
        rows = [image.row for image in images if image.row.id not in lost]
        traces = {image.row.id: image.trace_id for image in images if image.trace_id}
        inserted = await self._insert_within_quotas(session, rows, traces)
        stored = {one: keyed[one] for one in keyed if isinstance(inserted.get(one), Image)}
        await record(session, stored)
        return {**inserted, **dict.fromkeys(lost, UploadUnderWay())}

    async def _insert_within_quotas(
        self, session: WriteSession, rows: Sequence[NewImage], traces: Mapping[UUID, str]
    ) -> dict[UUID, Image | ImageHostError]:
        """Insert the rows that quotas allow; return for each its image, or why it is not stored."""
        refused = await self._storage_quota.admit(session, rows)
        admitted = [row for row in rows if row.id not in refused]
        results = await self._quota.insert(session, admitted, self._tasks, traces)
        await self._storage_quota.release(
            session, [row for row in admitted if not isinstance(results[row.id], Image)]
        )
        return {**refused, **results}

    async def _insert_one_by_one(
        self, images: Sequence[StagedImage]
    ) -> Sequence[Image | Exception]:
        """Insert rows each by itself, as long as the database is available."""
        results: list[Image | Exception] = []
        for image in images:
            if results and isinstance(results[-1], DatabaseUnavailable):
                await image.object.discard()
                results.append(DatabaseUnavailable())
                continue
            try:
                results += await self._insert([image])
            except Exception as error:  # noqa: BLE001 - raised to whose row it is
                results.append(error)
        return results


async def _discard(images: Sequence[StagedImage]) -> None:
    await asyncio.gather(*(image.object.discard() for image in images))
