"""A request with an Idempotency-Key: what it consists of, and what of it is stored.

Two requests are the same if they are of one call and have the same files, by names, bytes and
options, in the same order.
"""

import json
from collections.abc import AsyncIterator, Mapping
from hashlib import sha256
from typing import Any
from uuid import UUID

from app.database.engine import WriteSession
from app.domain.errors import IdempotencyKeyReused, ImageNotFound
from app.domain.idempotency import Claim, KeptAnswer, KeyedImage
from app.domain.image import Image
from app.statements.idempotency import insert_keyed_images, lock_claims


class KeyedRequest:
    """Such a request.

    Args:
        claim: The right to carry it out.
        call: What it calls.
        answer: What it has been answered already; None = it is to be carried out.
        stored: What earlier attempts stored, by the positions of the files.
        is_new: Whether there have been no earlier ones.
    """

    def __init__(
        self,
        claim: Claim,
        call: str,
        answer: KeptAnswer | None = None,
        stored: Mapping[int, KeyedImage] = {},
        *,
        is_new: bool = False,
    ) -> None:
        self.claim = claim
        self.answer = answer
        self.stored = stored
        self.may_have_stored = not is_new
        """Whether there may be an image of it, also where the database does not say."""
        self.is_final = True
        """Whether carrying it out once more would not change its answer."""
        self._call = call
        self._files: list[KeyedFile] = []

    def add(self, filename: str | None, options: Mapping[str, Any]) -> "KeyedFile":
        """Return its next file, of which nothing has been read."""
        head = json.dumps([self._call, filename, options], sort_keys=True).encode() + b"\0"
        file = KeyedFile(self, len(self._files), head)
        self._files.append(file)
        return file

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the fingerprints of its files."""
        return sha256(b"".join(file.fingerprint for file in self._files)).digest()

    def require_same(self) -> None:
        """Compare it, once all of it has been read, with what was sent with the key before.

        Raises:
            IdempotencyKeyReused: If that was something else.
        """
        if self.answer and self.answer.fingerprint != self.fingerprint:
            raise IdempotencyKeyReused
        if self.stored.keys() - range(len(self._files)):
            raise IdempotencyKeyReused


class KeyedFile:
    """A file of such a request, whose fingerprint is taken as its bytes pass.

    Args:
        request: The request.
        position: In the request, from 0 on.
        head: What is asked for the file.
    """

    def __init__(self, request: KeyedRequest, position: int, head: bytes) -> None:
        self.request = request
        self.position = position
        self._digest = sha256(head)

    @property
    def fingerprint(self) -> bytes:
        """SHA-256 of the file as it was sent, as far as it has been read."""
        return self._digest.digest()

    @property
    def is_stored(self) -> bool:
        """Whether an earlier attempt has stored it."""
        return self.position in self.request.stored

    async def digested(self, chunks: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Pass on its bytes."""
        async for chunk in chunks:
            self._digest.update(chunk)
            yield chunk

    def stored_image(self) -> Image:
        """Return the image that an earlier attempt stored, once the file has been read.

        Raises:
            IdempotencyKeyReused: If that was another file.
            ImageNotFound: If the image has been deleted since.
        """
        fingerprint, image_id, image = self.request.stored[self.position]
        if fingerprint != self.fingerprint:
            raise IdempotencyKeyReused
        if image is None:
            raise ImageNotFound(image_id)
        return image


async def find_lost(session: WriteSession, files: Mapping[UUID, KeyedFile]) -> set[UUID]:
    """Return those of some images, by their ids, whose request somebody else carries out by now.

    The requests of the others cannot be claimed until the transaction ends.
    """
    held = await lock_claims(session, {file.request.claim for file in files.values()})
    return {image_id for image_id, file in files.items() if file.request.claim not in held}


async def record(session: WriteSession, files: Mapping[UUID, KeyedFile]) -> None:
    """Record which files are stored, by the ids of their images, as these are inserted."""
    recorded = [
        (file.request.claim, file.position, file.fingerprint, image_id)
        for image_id, file in files.items()
    ]
    if recorded:
        await insert_keyed_images(session, recorded)
