"""Requests that store their files once, however often they are sent (ADR 0065).

Whoever carries one out holds a claim to its key, with a lease. An image's row is inserted together
with the record of the file, in a transaction in which the claim still holds. So it does not matter
who has died, who only seemed to, or whether a commit took place: whoever claims the key next finds
what is stored.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from datetime import timedelta
from typing import Final
from uuid import uuid4

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable, UploadUnderWay
from app.domain.idempotency import Claim, KeptAnswer
from app.observability.reasons import reason
from app.services.keyed import KeyedRequest
from app.services.staging import IncomingFile, UploadOptions
from app.statements.idempotency import (
    delete_claim,
    find_answer,
    find_keyed_images,
    insert_claim,
    keep_answer,
    release_claim,
    renew_claims,
)

LEASE: Final = timedelta(seconds=30)
"""After which somebody else may claim a request whose process does not renew its claims."""
RENEWAL_SECONDS: Final = 10.0
RELEASE_SECONDS: Final = 2.0
"""How long a client waits for the end of a claim; the lease ends anyway."""

_log = logging.getLogger(__name__)


class Idempotency:
    """Remembers requests by their keys.

    Args:
        database: Where.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._held: set[Claim] = set()
        self._renewal: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def keyed(self, sender: str, key: str, call: str) -> AsyncIterator[KeyedRequest]:
        """Return a request that is to be carried out, or that has been answered.

        At the end, an answer that was not kept leaves the key to the next attempt.

        Raises:
            UploadUnderWay: If somebody else is carrying it out.
            DatabaseUnavailable: If the database cannot be asked.
        """
        claim = Claim(sender, key, uuid4())
        request = KeyedRequest(claim, call)
        self._held.add(claim)
        if self._renewal is None or self._renewal.done():
            # It serves many requests, so it logs under the id of none.
            self._renewal = asyncio.create_task(self._renew_while_held(), context=Context())
        try:
            request = await self._claim(claim, call)
            yield request
        finally:
            self._held.discard(claim)
            if request.answer is None:
                await self._release(request)

    async def keep(
        self, request: KeyedRequest, status: int, location: str | None, body: bytes
    ) -> None:
        """Keep the answer, for whoever sends the same request again.

        Where that fails, the next attempt makes the answer anew, from what is stored.
        """
        answer = KeptAnswer(request.fingerprint, status, location, body)
        try:
            async with self._database.write_alone() as session:
                await keep_answer(session, request.claim, answer)
        except DatabaseUnavailable as error:
            _log.warning("the answer to a request with a key is not kept: %s", reason(error))
        else:
            request.answer = answer

    async def renew(self) -> None:
        """Renew the leases of all claims that are held."""
        if not self._held:
            return
        try:
            async with self._database.write_alone() as session:
                await renew_claims(session, self._held, LEASE)
        except DatabaseUnavailable as error:
            _log.warning("claims of requests with keys are not renewed: %s", reason(error))

    async def close(self) -> None:
        """Renew nothing any more."""
        if self._renewal:
            self._renewal.cancel()
            await asyncio.wait([self._renewal])

    async def _claim(self, claim: Claim, call: str) -> KeyedRequest:
        async with self._database.write_alone() as session:
            match await insert_claim(session, claim, LEASE):
                case True:
                    stored = await find_keyed_images(session, claim)
                    return KeyedRequest(claim, call, stored=stored)
                case False:
                    return KeyedRequest(claim, call, is_new=True)
            answer = await find_answer(session, claim)
        if answer is None:
            raise UploadUnderWay
        return KeyedRequest(claim, call, answer)

    async def _release(self, request: KeyedRequest) -> None:
        """End a claim, if it is one; where nothing can have been stored, forget the key."""
        end = release_claim if request.may_have_stored else delete_claim
        try:
            async with (
                asyncio.timeout(RELEASE_SECONDS),
                self._database.write_alone() as session,
            ):
                await end(session, request.claim)
        except (DatabaseUnavailable, TimeoutError) as error:
            _log.warning("the claim of a request with a key ends with its lease: %s", reason(error))

    async def _renew_while_held(self) -> None:
        while self._held:
            await asyncio.sleep(RENEWAL_SECONDS)
            await self.renew()


def keyed_file(request: KeyedRequest, file: IncomingFile) -> IncomingFile:
    """Return the next file of a request, as it is to be uploaded."""
    defaults = UploadOptions._field_defaults
    options = file.options._asdict()
    asked = {name: value for name, value in options.items() if value != defaults[name]}
    keyed = request.add(file.filename, asked)
    return file._replace(chunks=keyed.digested(file.chunks), keyed=keyed)


async def keyed_files(
    request: KeyedRequest, files: AsyncIterator[IncomingFile]
) -> AsyncIterator[IncomingFile]:
    """Iterate over the files of a request; of one that is rejected, read the rest as well.

    Raises:
        IdempotencyKeyReused: At the end, as `KeyedRequest.require_same`.
    """
    async for file in files:
        keyed = keyed_file(request, file)
        yield keyed
        async for _ in keyed.chunks:
            pass
    request.require_same()
