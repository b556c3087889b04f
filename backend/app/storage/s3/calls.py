"""Signed calls to a store, repeated where that is harmless, until they succeed or have failed."""

import asyncio
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Final, NamedTuple
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element

from aiohttp import ClientError, ClientResponse, ClientSSLError, ConnectionTimeoutError

from app.config.storage_url import S3Location
from app.domain.errors import StorageFull, StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3.answers import parse
from app.storage.s3.credentials import Credentials
from app.storage.s3.exchange import PROGRESS_SECONDS, QUEUE_SECONDS, Body, Exchange
from app.storage.s3.refusals import EXPIRED, StoreFailure, refusal
from app.storage.s3.signing import Signer, encode_path, encode_query

RETRY_SECONDS: Final = 10.0
"""No attempt begins so long after the first one."""
FIRST_PAUSE: Final = 0.2
"""Seconds before the second attempt, at most; twice as many before each further one."""
MAX_PAUSE: Final = 3.0
MAX_ANSWER: Final = 8 * 1024 * 1024
"""Bytes of an answer other than an object; a list of 1,000 objects has a tenth of them."""
_MAX_REFUSAL: Final = 64 * 1024
_FIRST_REFUSAL: Final = 300


@dataclass(frozen=True)
class Call:
    """A request, without what its signature adds."""

    method: str
    key: str | None = None
    """Whole, with the prefix; None = the bucket is meant."""
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """By lower-case names."""
    body: Body | None = None
    accepted: frozenset[int] = frozenset()
    """Statuses beyond 2xx that are an answer, not a failure."""
    root: str = ""
    """The name of the document that answers it; empty = none does."""


class Answer(NamedTuple):
    """The answer to a call."""

    status: int
    headers: Mapping[str, str]
    root: Element
    """Of the document; without children if there is none."""


class Calls:
    """Makes calls about one bucket."""

    def __init__(self, location: S3Location, credentials: Credentials, connections: int) -> None:
        self._location = location
        self.credentials = credentials
        self._root = f"/{location.bucket}" if location.path_style else ""
        self._address = location.origin
        self._signer = Signer(urlsplit(self._address).netloc, location.region)
        self._exchange = Exchange(self._address, connections)

    async def ask(self, call: Call) -> Answer:
        """Return the answer to a call.

        Raises:
            StoreFailure: If there is none, or one that was not expected.
        """
        pauses = _Pauses()
        while True:
            try:
                return await self.ask_once(call)
            except StoreFailure as failure:
                await pauses.wait(failure)

    async def ask_once(self, call: Call) -> Answer:
        """Return the answer to a call, which is not repeated.

        Raises:
            StoreFailure: As `ask`.
        """
        response = await self._open_once(call)
        try:
            with self.failing(call):
                body = await _read(response, MAX_ANSWER)
        finally:
            response.close()
        if body is None:
            raise self.failed(call, f"the answer is longer than {MAX_ANSWER} bytes")
        root = self._parse(call, response, body) if call.root else Element("")
        return Answer(response.status, response.headers, root)

    async def open(self, call: Call) -> ClientResponse:
        """Return the answer to a call, its body unread; it must be closed.

        Raises:
            StoreFailure: As `ask`.
        """
        pauses = _Pauses()
        while True:
            try:
                return await self._open_once(call)
            except StoreFailure as failure:
                await pauses.wait(failure)

    async def presign(self, call: Call, seconds: int) -> str:
        """Return an address by which anybody can make a call, for so many seconds.

        Raises:
            StorageUnavailable: If there are no credentials.
        """
        path = self._path(call)
        keys = await self.credentials.get()
        query = self._signer.presign(keys, call.method, path, call.query, seconds)
        return f"{self._address}{path}?{query}"

    def failed(self, call: Call, what: str) -> StoreFailure:
        """Return the failure of a call whose answer cannot be used."""
        return StoreFailure(f"{self._name(call)}: {what}")

    @contextmanager
    def failing(self, call: Call) -> Iterator[None]:
        """Turn what breaks in a connection into a failure of the call.

        Raises:
            StoreFailure: What is raised instead.
        """
        try:
            yield
        except ConnectionTimeoutError as error:
            words = f"no connection within {QUEUE_SECONDS:g} s"
            raise StoreFailure(f"{self._name(call)}: {words}", is_temporary=True) from error
        except ClientSSLError as error:
            # Not the error's own words, which hold an address of ours.
            cause = getattr(error, "certificate_error", None) or error.os_error
            words = getattr(cause, "verify_message", "") or reason(cause)
            raise StoreFailure(
                f"{self._name(call)}: {words}; SSL_CERT_FILE names the authorities that are trusted"
            ) from error
        except TimeoutError as error:
            words = f"no bytes for {PROGRESS_SECONDS:g} s: it hangs, or the network to it does"
            raise StoreFailure(f"{self._name(call)}: {words}", is_temporary=True) from error
        except (ClientError, OSError) as error:
            words = reason(getattr(error, "os_error", error))
            raise StoreFailure(f"{self._name(call)}: {words}", is_temporary=True) from error

    async def close(self) -> None:
        """Close every connection."""
        await self._exchange.close()

    async def _open_once(self, call: Call, *, again: bool = False) -> ClientResponse:
        path, query = self._path(call), encode_query(call.query)
        keys = await self.credentials.get()
        headers = self._signer.sign(keys, call.method, path, query, call.headers)
        target = f"{path}?{query}" if query else path
        with self.failing(call):
            response = await self._exchange.send(call.method, target, headers, call.body)
        if response.status < _FIRST_REFUSAL or response.status in call.accepted:
            return response
        failure = await self._refusal(call, response)
        if failure.code in EXPIRED and not again:
            await self.credentials.renew()
            return await self._open_once(call, again=True)
        raise failure

    def _parse(self, call: Call, response: ClientResponse, body: bytes) -> Element:
        """Return the document of an answer, which may be an error with status 200."""
        with suppress(ValueError):
            if (root := parse(body)).tag == call.root:
                return root
        raise refusal(self._name(call), response.status, response.headers, body)

    async def _refusal(self, call: Call, response: ClientResponse) -> StoreFailure:
        try:
            with self.failing(call):
                body = await _read(response, _MAX_REFUSAL) or b""
        finally:
            response.close()
        return refusal(self._name(call), response.status, response.headers, body)

    def _path(self, call: Call) -> str:
        return f"{self._root}/{encode_path(call.key or '')}" if call.key else self._root or "/"

    def _name(self, call: Call) -> str:
        """Return how sentences about a call begin; its query stays out of them."""
        of = f" of {call.key}" if call.key else ""
        return f"{call.method}{of} in {self._location}"


@contextmanager
def storage_errors() -> Iterator[None]:
    """Raise the storage's errors from failures of the store.

    Raises:
        StorageError: `StorageFull` or `StorageUnavailable`.
    """
    try:
        yield
    except StoreFailure as failure:
        raise (StorageFull if failure.is_full else StorageUnavailable) from failure


async def _read(response: ClientResponse, limit: int) -> bytes | None:
    """Return the rest of an answer; None if it is longer than so many bytes."""
    body = bytearray()
    while block := await response.content.readany():
        body += block
        if len(body) > limit:
            return None
    return bytes(body)


class _Pauses:
    """The pauses between the attempts of a call: longer and longer, and of random length."""

    def __init__(self) -> None:
        self._end = monotonic() + RETRY_SECONDS
        self._longest = FIRST_PAUSE

    async def wait(self, failure: StoreFailure) -> None:
        """Wait until the next attempt.

        Raises:
            StoreFailure: The failure, if there is to be none.
        """
        pause = random.uniform(self._longest / 2, self._longest)  # noqa: S311 - no secret
        pause = max(pause, failure.retry_after)
        if not failure.is_temporary or monotonic() + pause >= self._end:
            raise failure
        await asyncio.sleep(pause)
        self._longest = min(2 * self._longest, MAX_PAUSE)
