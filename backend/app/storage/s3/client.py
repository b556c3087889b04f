"""The calls of S3 that a storage needs, over one bucket (Amazon S3's API reference).

Every failure is a `StorageError` raised from a `StoreFailure`, which says why in one sentence.
"""

import asyncio
import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import md5
from typing import Final

from aiohttp import ClientResponse

from app.config.storage_url import S3Location
from app.domain.errors import ObjectNotFound, StorageError
from app.storage.base import ObjectInfo
from app.storage.s3 import answers
from app.storage.s3.answers import Page, Upload
from app.storage.s3.calls import Answer, Call, Calls, storage_errors
from app.storage.s3.credentials import Credentials
from app.storage.s3.exchange import Body, Parts
from app.storage.s3.refusals import MISSING, StoreFailure

HASH_IN_THREAD: Final = 256 * 1024
"""Bytes from which on a checksum is computed in a thread: MD5 takes 1.2 ms for 947 KB."""
_OK: Final = 200
_PRECONDITION_FAILED: Final = 412
_RANGE_NOT_SATISFIABLE: Final = 416
_PARTIAL_CONTENT: Final = 206


class ObjectBody:
    """An open object or a span of it, which must be closed."""

    def __init__(
        self, calls: Calls, call: Call, response: ClientResponse | None, info: ObjectInfo
    ) -> None:
        self._calls = calls
        self._call = call
        self._response = response
        self.size = info.size
        """Bytes of the whole object."""
        self.modified = info.modified

    async def read(self) -> bytes:
        """Return the next bytes, none at the end.

        Raises:
            StorageUnavailable: If the connection breaks, or no bytes come for too long.
        """
        if self._response is None:
            return b""
        with storage_errors(), self._calls.failing(self._call):
            return await self._response.content.readany()

    async def close(self) -> None:
        """Release the connection; it is closed if not all bytes were read."""
        if self._response is not None:
            self._response.close()
            self._response = None


class S3Client:
    """One bucket, or what begins with a prefix in it; keys are without that prefix.

    Args:
        location: Where it is.
        credentials: What requests are signed with.
        connections: Most connections at once; a request waits for one.
    """

    def __init__(self, location: S3Location, credentials: Credentials, connections: int) -> None:
        self._prefix = location.prefix
        self._calls = Calls(location, credentials, connections)
        self._cleaning: set[asyncio.Task[None]] = set()

    async def put_object(
        self, key: str, parts: Parts, content_type: str, *, if_absent: bool = False
    ) -> bool:
        """Write an object, whole and durable, in place of one that is there.

        Returns:
            Whether it was written: not, if `if_absent`, where one is there already.

        Raises:
            StorageError: If it may not be there.
        """
        headers = {"content-type": content_type, "content-md5": await _content_md5(parts)}
        if if_absent:
            headers["if-none-match"] = "*"
        accepted = frozenset({_PRECONDITION_FAILED} if if_absent else ())
        call = Call("PUT", self._prefix + key, {}, headers, Body(parts), accepted)
        with storage_errors():
            answer = await self._calls.ask(call)
            if answer.status == _PRECONDITION_FAILED:
                return False
            self._require_etag(call, answer)
        return True

    async def get_object(self, key: str, start: int = 0, length: int | None = None) -> ObjectBody:
        """Open an object, or up to `length` bytes (at least one) of it from `start` on.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If it cannot be opened.
        """
        is_span = start > 0 or length is not None
        headers = {}
        if is_span:
            last = "" if length is None else start + length - 1
            headers["range"] = f"bytes={start}-{last}"
        accepted = frozenset({_RANGE_NOT_SATISFIABLE})
        call = Call("GET", self._prefix + key, {}, headers, accepted=accepted)
        with storage_errors():
            response = await self._open(call, key)
            try:
                if response.status == _RANGE_NOT_SATISFIABLE:
                    response.close()
                    return ObjectBody(self._calls, call, None, await self._head(key))
                return self._body(call, key, response, is_span=is_span)
            except BaseException:
                response.close()
                raise

    async def head_object(self, key: str) -> ObjectInfo:
        """Return size and time of an object.

        Raises:
            ObjectNotFound: If there is none.
            StorageUnavailable: If that cannot be found out.
        """
        with storage_errors():
            return await self._head(key)

    async def delete_object(self, key: str) -> None:
        """Remove an object; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """
        with storage_errors():
            try:
                await self._calls.ask(Call("DELETE", self._prefix + key))
            except StoreFailure as failure:
                if failure.code != MISSING:
                    raise

    async def list_objects(self, after: str = "") -> list[ObjectInfo]:
        """Return objects whose keys come after one, in order; only at the end, none.

        Raises:
            StorageUnavailable: If they cannot be listed, or in another order.
        """
        query = {
            "list-type": "2",
            "prefix": self._prefix,
            "encoding-type": "url",
        }
        if after:
            query["start-after"] = self._prefix + after
        with storage_errors():
            page = await self._list(query)
            while not page.objects and page.continuation:
                page = await self._list(query | {"continuation-token": page.continuation})
            objects = [info._replace(key=self._strip(info.key)) for info in page.objects]
            keys = [info.key for info in objects]
            if any(key <= last for last, key in zip([after, *keys], keys, strict=False)):
                raise self._calls.failed(
                    Call("GET"), "the list of objects is not in order of their keys"
                )
            return objects

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

    async def upload_part(self, key: str, upload_id: str, number: int, parts: Parts) -> str:
        """Send a part of an upload and return its entity tag, which `complete_upload` wants.

        Args:
            key: That of the object.
            upload_id: As `create_upload` returned it.
            number: From 1 on. All parts but the last have one size, at least 5 MiB.
            parts: The bytes.

        Raises:
            StorageError: If it may not be there.
        """
        query = {"partNumber": str(number), "uploadId": upload_id}
        headers = {"content-md5": await _content_md5(parts)}
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
            {"content-type": "application/xml", "content-md5": await _content_md5([body])},
            Body([body]),
            root="CompleteMultipartUploadResult",
        )
        with storage_errors():
            try:
                await self._calls.ask(call)
            except StoreFailure as failure:
                # A completed upload is none any more: the answer to an earlier attempt was lost.
                if failure.code != "NoSuchUpload" or not await self._is_there(key):
                    raise

    async def abort_upload(self, key: str, upload_id: str) -> None:
        """Remove an upload and its parts; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """
        with storage_errors():
            try:
                await self._calls.ask(Call("DELETE", self._prefix + key, {"uploadId": upload_id}))
            except StoreFailure as failure:
                if failure.code != "NoSuchUpload":
                    raise

    async def list_uploads(self, after: Upload | None = None) -> list[Upload]:
        """Return uploads that come after one; only at the end, none.

        Some stores list none although there are some.

        Raises:
            StorageUnavailable: If they cannot be listed.
        """
        query = {"uploads": "", "prefix": self._prefix, "encoding-type": "url"}
        if after:
            query |= {"key-marker": self._prefix + after.key, "upload-id-marker": after.upload_id}
        call = Call("GET", query=query, root="ListMultipartUploadsResult")
        with storage_errors():
            answer = await self._calls.ask(call)
            with self._reading(call):
                uploads = [
                    upload._replace(key=self._strip(upload.key))
                    for upload in answers.read_uploads(answer.root)
                ]
            if after and any(upload.key < after.key or upload == after for upload in uploads):
                raise self._calls.failed(call, "the list of uploads begins anew on each page")
            return uploads

    def presign(
        self,
        key: str,
        seconds: int,
        *,
        method: str = "GET",
        headers: Mapping[str, str] | None = None,
    ) -> str:
        """Return an address by which anybody can read an object, for so many seconds.

        It ends earlier where temporary credentials do.

        Args:
            key: That of the object.
            seconds: From now on.
            method: GET or HEAD.
            headers: What the answer's header fields are to be, such as `content-type`.

        Raises:
            StorageUnavailable: If no request was made yet, so that there are no credentials.
        """
        query = {f"response-{name}": value for name, value in (headers or {}).items()}
        return self._calls.presign(Call(method, self._prefix + key, query), seconds)

    async def close(self) -> None:
        """Close all connections, after uploads that nobody waits for are aborted."""
        if self._cleaning:
            await asyncio.wait(self._cleaning)
        await self._calls.close()

    async def _open(self, call: Call, key: str) -> ClientResponse:
        try:
            return await self._calls.open(call)
        except StoreFailure as failure:
            if failure.code == MISSING:
                raise ObjectNotFound(key) from failure
            raise

    def _body(self, call: Call, key: str, response: ClientResponse, *, is_span: bool) -> ObjectBody:
        if response.status != (_PARTIAL_CONTENT if is_span else _OK):
            what = f"{response.status} answers a request for {'a span' if is_span else 'all'}"
            raise self._calls.failed(call, what)
        return ObjectBody(self._calls, call, response, self._info(call, key, response.headers))

    async def _head(self, key: str) -> ObjectInfo:
        """Ask for the head, whose refusal has no body: then for a byte, whose refusal has one."""
        call = Call("HEAD", self._prefix + key)
        try:
            answer = await self._calls.ask(call)
        except StoreFailure:
            accepted = frozenset({_RANGE_NOT_SATISFIABLE})
            byte = Call("GET", call.key, {}, {"range": "bytes=0-0"}, accepted=accepted)
            (await self._open(byte, key)).close()
            answer = await self._calls.ask(call)
        return self._info(call, key, answer.headers)

    def _info(self, call: Call, key: str, headers: Mapping[str, str]) -> ObjectInfo:
        with self._reading(call):
            if headers.get("Content-Type", "").startswith("text/html"):
                raise ValueError("it is a page in HTML")
            size = headers.get("Content-Range", "").rpartition("/")[2] or headers["Content-Length"]
            modified = parsedate_to_datetime(headers["Last-Modified"])
            return ObjectInfo(key, int(size), modified.astimezone(UTC))

    async def _is_there(self, key: str) -> bool:
        try:
            await self._head(key)
        except ObjectNotFound:
            return False
        return True

    async def _list(self, query: Mapping[str, str]) -> Page:
        call = Call("GET", query=query, root="ListBucketResult")
        answer = await self._calls.ask(call)
        with self._reading(call):
            return answers.read_objects(answer.root)

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

    @contextmanager
    def _reading(self, call: Call) -> Iterator[None]:
        try:
            yield
        except (KeyError, ValueError) as error:
            raise self._calls.failed(call, f"the answer cannot be used: {error}") from error

    def _require_etag(self, call: Call, answer: Answer) -> str:
        if etag := answer.headers.get("ETag"):
            return etag
        raise self._calls.failed(
            call, "the answer has no ETag, so a proxy or another program gave it"
        )

    def _strip(self, key: str) -> str:
        return key.removeprefix(self._prefix)


async def _content_md5(parts: Parts) -> str:
    """Return what the store compares bytes with (RFC 1864)."""
    if sum(map(len, parts)) < HASH_IN_THREAD:
        return _md5_here(parts)
    return await asyncio.to_thread(_md5_here, parts)


def _md5_here(parts: Parts) -> str:
    checksum = md5(usedforsecurity=False)
    for part in parts:
        checksum.update(part)
    return base64.b64encode(checksum.digest()).decode()
