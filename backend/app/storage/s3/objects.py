"""The calls of S3 about objects, over one bucket (Amazon S3's API reference).

Every failure is a `StorageError` raised from a `StoreFailure`, which says why in one sentence.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC
from email.utils import parsedate_to_datetime
from hashlib import sha256
from typing import Final

from aiohttp import ClientResponse

from app.config.storage_url import S3Location
from app.domain.errors import ObjectNotFound
from app.storage.base import ObjectInfo
from app.storage.s3 import answers
from app.storage.s3.answers import Page
from app.storage.s3.calls import Answer, Call, Calls, storage_errors
from app.storage.s3.checksums import content_md5
from app.storage.s3.credentials import Credentials
from app.storage.s3.exchange import Body, Parts
from app.storage.s3.opened import ObjectBody
from app.storage.s3.refusals import CHANGED, MISSING, StoreFailure
from app.storage.s3.signing import PAYLOAD, encode_path

_OK: Final = 200
_NO_CONTENT: Final = 204
_RANGE_NOT_SATISFIABLE: Final = 416
_PARTIAL_CONTENT: Final = 206


class Objects:
    """One bucket, or what begins with a prefix in it; keys are without that prefix.

    Args:
        location: Where it is.
        credentials: What requests are signed with.
        connections: Most connections at once; a request waits for one.
    """

    def __init__(self, location: S3Location, credentials: Credentials, connections: int) -> None:
        self._prefix = location.prefix
        self._bucket = location.bucket
        self._calls = Calls(location, credentials, connections)
        self._compares_sha256 = False
        """Whether the store is known to compare a signed SHA-256 with the bytes."""

    async def put_object(
        self, key: str, parts: Parts, content_type: str, checksum: bytes = b""
    ) -> None:
        """Write an object, whole and durable, in place of one that is there.

        Args:
            key: Its key.
            parts: Its bytes.
            content_type: Its media type.
            checksum: Their SHA-256, if the caller has taken it: where the store compares that, it
                spares the MD5.

        Raises:
            StorageError: If it may not be there.
        """
        headers = {"content-type": content_type, **await self._protection(parts, checksum)}
        call = Call("PUT", self._prefix + key, {}, headers, Body(parts))
        with storage_errors():
            self._require_etag(call, await self._calls.ask(call))

    async def probe_sha256(self, key: str) -> None:
        """Find out whether the store compares a signed SHA-256 with the bytes: some do not.

        It does if it refuses a wrong one for that reason, and accepts the right one.

        Args:
            key: That of an object which may be written.
        """
        content = b"written\n"
        wrong, right = sha256().hexdigest(), sha256(content).hexdigest()
        self._compares_sha256 = (
            await self._refusal_of(key, content, wrong) in CHANGED
            and await self._refusal_of(key, content, right) is None
        )

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

    async def copy_object(self, key: str, new_key: str) -> None:
        """Have the store make an object of the bytes, and the type, of another one.

        Raises:
            ObjectNotFound: If there is none under `key`.
            StorageError: If the copy may not be there.
        """
        source = encode_path(f"/{self._bucket}/{self._prefix}{key}")
        headers = {"x-amz-copy-source": source}
        call = Call("PUT", self._prefix + new_key, {}, headers, root="CopyObjectResult")
        with storage_errors():
            try:
                await self._calls.ask(call)
            except StoreFailure as failure:
                if failure.code == MISSING:
                    raise ObjectNotFound(key) from failure
                raise

    async def delete_object(self, key: str) -> None:
        """Remove an object; removing one that is not there is a success.

        Raises:
            StorageUnavailable: If it may still be there.
        """
        with storage_errors():
            await self._delete(Call("DELETE", self._prefix + key), MISSING)

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

    async def presign(self, key: str, seconds: int, headers: Mapping[str, str]) -> str:
        """Return an address by which anybody can get an object, for so many seconds.

        It ends earlier where temporary credentials do.

        Args:
            key: That of the object.
            seconds: From now on.
            headers: What the answer's header fields are to be, such as `content-type`.

        Raises:
            StorageUnavailable: If there are no credentials.
        """
        query = {f"response-{name}": value for name, value in headers.items()}
        return await self._calls.presign(Call("GET", self._prefix + key, query), seconds)

    async def close(self) -> None:
        """Close all connections."""
        await self._calls.close()

    async def _protection(self, parts: Parts, checksum: bytes) -> dict[str, str]:
        """Return the header field with what the store compares bytes with.

        Args:
            parts: The bytes.
            checksum: Their SHA-256; empty = it was not taken.
        """
        if checksum and self._compares_sha256:
            return {PAYLOAD: checksum.hex()}
        return {"content-md5": await content_md5(parts)}

    async def _refusal_of(self, key: str, content: bytes, checksum: str) -> str | None:
        """Return by which code a store refuses bytes with a signed SHA-256; None if it does not."""
        headers = {"content-type": "text/plain", PAYLOAD: checksum}
        call = Call("PUT", self._prefix + key, {}, headers, Body([content]))
        try:
            self._require_etag(call, await self._calls.ask_once(call))
        except StoreFailure as failure:
            return failure.code
        return None

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
        begin = call.headers.get("range", "").replace("=", " ").rpartition("-")[0]
        if is_span and not response.headers.get("Content-Range", "").startswith(f"{begin}-"):
            raise self._calls.failed(call, "another span was sent than asked for")
        return ObjectBody(self._calls, call, response, self._info(call, key, response.headers))

    async def _head(self, key: str) -> ObjectInfo:
        """Ask for the head, whose refusal has no body: then for a byte, whose refusal has one."""
        call = Call("HEAD", self._prefix + key)
        try:
            answer = await self._calls.ask(call)
        except StoreFailure as failure:
            if failure.is_temporary or not failure.status:
                raise
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

    async def _list(self, query: Mapping[str, str]) -> Page:
        call = Call("GET", query=query, root="ListBucketResult")
        answer = await self._calls.ask(call)
        with self._reading(call):
            return answers.read_objects(answer.root)

    @contextmanager
    def _reading(self, call: Call) -> Iterator[None]:
        try:
            yield
        except (KeyError, ValueError) as error:
            raise self._calls.failed(call, f"the answer cannot be used: {error}") from error

    async def _delete(self, call: Call, missing: str) -> None:
        """Remove what a call names; that it is `missing` already, in the store's word, is fine."""
        try:
            answer = await self._calls.ask(call)
        except StoreFailure as failure:
            if failure.code != missing:
                raise
        else:
            if answer.status != _NO_CONTENT:
                raise self._calls.failed(call, f"{answer.status} is no answer of S3 to that")

    def _require_etag(self, call: Call, answer: Answer) -> str:
        if etag := answer.headers.get("ETag"):
            return etag
        raise self._calls.failed(
            call, "the answer has no ETag, so a proxy or another program gave it"
        )

    def _strip(self, key: str) -> str:
        return key.removeprefix(self._prefix)
