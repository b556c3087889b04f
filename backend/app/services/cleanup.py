"""The nightly removal of what was left behind: the part of fsck's repair that needs no person.

And what jobs have not done, of files uploaded at the same moment: letting equal ones share bytes.
"""

import logging
from collections import Counter

from app.database.engine import Database
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import GRACE, Kind, Removals
from app.services.fsck_repair import repair
from app.services.identity import StorageIdentity, WrongStorage
from app.services.sharing import ByteSharing
from app.statements.idempotency import forget_requests
from app.storage.abilities import Sharing
from app.storage.base import StorageBackend

_log = logging.getLogger(__name__)


class CleanUp:
    """Removes leftovers, requests with keys that are a day old, and a few files without a row.

    Never the row of an image.

    Args:
        database: Where the rows are.
        storage: Where the files are.
    """

    def __init__(self, database: Database, storage: StorageBackend) -> None:
        self._database = database
        self._storage = storage
        self._sharing = ByteSharing(database, storage)

    async def run(self) -> None:
        """Forget old requests, compare everything, remove what is left over, and log the result.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read.
            StorageError: If the files cannot all be listed and removed.
        """
        await self._forget_requests()
        try:
            # Each time, for the folder may have changed since the process began.
            await StorageIdentity(self._database, self._storage).establish()
        except WrongStorage as error:
            _log.error("nothing is cleaned up: %s", error)
            return
        check = ConsistencyCheck(self._database, self._storage, GRACE)
        removed, left = Counter[Kind](), Counter[Kind]()
        # How many rows there are matters to a repair of rows alone.
        async for finding, is_repaired in repair(check, Removals(rows=0)):
            (removed if is_repaired else left)[finding.kind] += 1
        if left:
            _log.warning(
                "clean-up: removed %s; left %s, about which a person must decide: see `make fsck`",
                _list(removed),
                _list(left),
            )
        else:
            _log.info("clean-up: removed %s", _list(removed))
        if check.has_unlisted_uploads:
            _log.info(
                "clean-up: the store lists no unfinished uploads, so a lifecycle rule of the "
                "bucket must abort them"
            )
        shared = Counter[Sharing | None]()
        await self._sharing.run(lambda outcome: shared.update([outcome]))
        if shared[Sharing.DONE]:
            _log.info("clean-up: %s files share equal bytes since then", shared[Sharing.DONE])

    async def _forget_requests(self) -> None:
        """Delete the keys of requests, and their answers, that need be remembered no longer."""
        forgotten = 0
        async with self._database.write_alone() as session:
            while some := await forget_requests(session):
                forgotten += some
        if forgotten:
            _log.info("clean-up: forgot %d requests with an Idempotency-Key", forgotten)


def _list(count: Counter[Kind]) -> str:
    return ", ".join(f"{count[kind]} {kind}" for kind in Kind if count[kind]) or "nothing"
