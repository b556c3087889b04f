"""All calls of S3 that a storage needs: those about objects, and about uploads in several parts."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final

from app.config.storage_url import S3Location
from app.domain.errors import ObjectNotFound, StorageError
from app.storage.s3 import answers
from app.storage.s3.answers import Upload
from app.storage.s3.calls import Call, storage_errors
from app.storage.s3.checksums import content_md5
from app.storage.s3.credentials import Credentials
from app.storage.s3.exchange import Body, Parts
from app.storage.s3.objects import Objects
from app.storage.s3.refusals import StoreFailure

CLEANING_SECONDS: Final = 5.0
"""How long the end of a process waits for uploads to be aborted; fsck finds what is left."""
_MISSING: Final = "NoSuchUpload"


class S3Client(Objects):
    """One bucket, or what begins with a prefix in it; keys are without that prefix.

    Args:
        location: Where it is.
        credentials: What requests are signed with.
        connections: Most connections at once; a request waits for one.
    """

    def __init__(self, location: S3Location, credentials: Credentials, connections: int) -> None:
        super().__init__(location, credentials, connections)
        self._cleaning: set[asyncio.Task[None]] = set()

    async def create_upload(self, key: str, content_type: str) -> str:
        """Begin a multipart upload and return its id; a cancelled call aborts what it has begun.

        Raises:
            StorageError: If it could not be begun.
        """
        creating = asyncio.create_task(self._create(key, content_type))
        try:
            return await asyncio.shield(creating)
        except asyncio.CancelledError:
            cleaning = asyncio.create_task(self._abort_created(key, creating))
            self._cleaning.add(cleaning)
            cleaning.add_done_callback(self._cleaning.discard)
            raise

    async def upload_part(
        self, key: str, upload_id: str, number: int, parts: Parts, checksum: bytes = b""
    ) -> str:
        """Send a part of an upload and return its entity tag, which `complete_upload` wants.

        Args:
            key: That of the object.
            upload_id: As `create_upload` returned it.
            number: From 1 on. All parts but the last have one size, at least 5 MiB.
            parts: The bytes.
            checksum: As that of `put_object`.

        Raises:
            StorageError: If it may not be there.
        """
        query = {"partNumber": str(number), "uploadId": upload_id}
        headers = await self._protection(parts, checksum)
        call = Call("PUT", self._prefix + key, query, headers, Body(parts))
        with storage_errors():
            return self._require_etag(call, await self._calls.ask(call))

    async def complete_upload(self, key: str, upload_id: str, etags: Sequence[str]) -> None:
        """Make an upload an object; doing it twice is harmless.

        Args:
            key: That of the object, of which there is no other one.
            upload_id: As `create_upload` returned it.
            etags: Those of all parts, in order.

        Raises:
            StorageError: If it may not be there; it may be, all the same.
        """
        body = answers.complete_request(etags)
        call = Call(
            "POST",
            self._prefix + key,
            {"uploadId": upload_id},
            {"content-type": "application/xml", "content-md5": await content_md5([body])},
            Body([body]),
            root="CompleteMultipartUploadResult",
        )
        with storage_errors():
            try:
                await self._calls.ask(call)
            except StoreFailure as failure:
                # A completed upload is none any more: the answer to an earlier attempt was lost.
                if failure.code != _MISSING or not await self._is_there(key):
                    raise

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Remove an upload and its parts; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """
        with storage_errors():
            call = Call("DELETE", self._prefix + key, {"uploadId": upload_id})
            await self._delete(call, _MISSING)

    async def list_uploads(self, after: Upload | None = None) -> list[Upload]:
        """Return uploads that come after one; only at the end, none.

        Some stores list none although there are some, or not all.

        Raises:
            StorageUnavailable: If they cannot be listed.
        """
        query = {"uploads": "", "prefix": self._prefix, "encoding-type": "url"}
        if after:
            query |= {"key-marker": self._prefix + after.key, "upload-id-marker": after.upload_id}
        call = Call("GET", query=query, root="ListMultipartUploadsResult")
        with storage_errors():
            uploads = await self._list_uploads(call)
            if not (uploads or after):
                # MinIO takes a prefix for a whole key, and lists all uploads without one.
                uploads = await self._list_uploads(replace(call, query={"uploads": ""}))
            if after and any(upload.key < after.key or upload == after for upload in uploads):
                raise self._calls.failed(call, "the list of uploads begins anew on each page")
            return uploads

    async def close(self) -> None:
        """Close all connections, after uploads that nobody waits for are aborted, if soon."""
        if self._cleaning:
            await asyncio.wait(self._cleaning, timeout=CLEANING_SECONDS)
        await super().close()

    async def _list_uploads(self, call: Call) -> list[Upload]:
        answer = await self._calls.ask(call)
        with self._reading(call):
            return [
                upload._replace(key=self._strip(upload.key))
                for upload in answers.read_uploads(answer.root)
                if upload.key.startswith(self._prefix)
            ]

    async def _create(self, key: str, content_type: str) -> str:
        call = Call(
            "POST",
            self._prefix + key,
            {"uploads": ""},
            {"content-type": content_type},
            root="InitiateMultipartUploadResult",
        )
        with storage_errors():
            answer = await self._calls.ask(call)
            with self._reading(call):
                return answers.read_upload_id(answer.root)

    async def _abort_created(self, key: str, creating: "asyncio.Task[str]") -> None:
        with suppress(StorageError):
            await self.abort_upload(key, await creating)

    async def _is_there(self, key: str) -> bool:
        try:
            await self._head(key)
        except ObjectNotFound:
            return False
        return True
