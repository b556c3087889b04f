"""Limits on the size of a request body, and the deadline for a client that sends it slowly.

No request is read further than its route allows, whatever its headers say, and no longer than a
deadline that advances with the bytes received (ADR 0011).

The middleware also lets a client that is still sending read an early answer. A server that closes
while data is on its way makes the client's system discard the answer (RFC 9112, section 9.6), so
after the answer the rest is read and discarded for a few seconds.
"""

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.observed import BODY_BYTES

FORM_ALLOWANCE: Final = 64 * 1024
"""Bytes that a form may have besides each file: boundaries, headers, other fields."""
DEFAULT_CAP: Final = 64 * 1024
"""Bytes for the routes that take no file."""
MAX_BODY_WAIT_SECONDS: Final = 30.0
"""How long the service waits for the next bytes of a body, at most."""
BODY_MIN_RATE: Final = 1024
"""Bytes a second: each 1,024 received extend the wait by a second, so no body stays slower."""
LINGER_SECONDS: Final = 5.0
LINGER_BYTES: Final = 64 * 1024 * 1024


class BodyTooLarge(Exception):
    """The request body has more bytes than its route allows.

    Args:
        allowed: The most bytes.
        actual: The bytes declared, or those that had arrived.
    """

    limit: Final = "max_body_bytes"

    def __init__(self, allowed: int, actual: int) -> None:
        super().__init__(
            f"The request body is larger than {allowed} bytes, the most this call takes."
        )
        self.allowed = allowed
        self.actual = actual


class RequestTooSlow(Exception):
    """The request stalled, or comes more slowly than the minimum rate."""

    def __init__(self) -> None:
        super().__init__("The request came too slowly, so the service stopped waiting for it.")


class BodyLimit:
    """Middleware that raises `BodyTooLarge` where the application would read too much.

    And `RequestTooSlow` where it would wait too long.

    Args:
        app: The application to guard.
        caps: Most bytes of a body, by path; `DEFAULT_CAP` for every other path.
    """

    def __init__(self, app: ASGIApp, caps: Mapping[str, int]) -> None:
        self._app = app
        self._caps = caps

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        fields = dict(scope["headers"]) if scope["type"] == "http" else {}
        if b"content-length" in fields or b"transfer-encoding" in fields:
            cap = self._caps.get(scope["path"], DEFAULT_CAP)
            exchange = _Exchange(fields, receive, send, cap)
            try:
                await self._app(scope, exchange.receive, exchange.send)
            finally:
                scope[BODY_BYTES] = exchange.received
        else:  # nothing to limit (RFC 9112, section 6.3)
            await self._app(scope, receive, send)


class _Exchange:
    """One request and its answer."""

    def __init__(
        self, fields: Mapping[bytes, bytes], receive: Receive, send: Send, cap: int
    ) -> None:
        self._receive = receive
        self._send = send
        self._cap = cap
        self._declared = int(fields.get(b"content-length", b"0"))
        self.received = 0
        """Bytes that the application has read."""
        self._answering = False
        self._wait_seconds = MAX_BODY_WAIT_SECONDS
        self._unread = self._declared > 0 or b"transfer-encoding" in fields
        self._waits_for_100 = fields.get(b"expect", b"").lower() == b"100-continue"

    async def receive(self) -> Message:
        if self._answering:
            # Asked only to learn whether the client has disconnected: what it sends is discarded.
            message = await self._receive()
            self._unread = message.get("more_body", False)
            return message
        if self._declared > self._cap:
            raise BodyTooLarge(self._cap, self._declared)
        self._waits_for_100 = False
        message = await (self._receive_in_time() if self._unread else self._receive())
        self.received += len(message.get("body", b""))
        self._unread = message.get("more_body", False)
        if self.received > self._cap:
            raise BodyTooLarge(self._cap, self.received)
        return message

    async def _receive_in_time(self) -> Message:
        """Wait for what comes next; only this time counts, not what the service itself takes.

        A stall uses up the wait, and so does a trickle; bytes extend it again, up to where it
        began, so that a fast start does not buy a slow end.
        """
        begin = monotonic()
        try:
            async with asyncio.timeout(self._wait_seconds):
                message = await self._receive()
        except TimeoutError as error:
            raise RequestTooSlow from error
        earned = len(message.get("body", b"")) / BODY_MIN_RATE
        self._wait_seconds = min(
            self._wait_seconds - (monotonic() - begin) + earned, MAX_BODY_WAIT_SECONDS
        )
        return message

    async def send(self, message: Message) -> None:
        self._answering = True
        if not self._unread or message.get("more_body", False):
            await self._send(message)
        elif message["type"] == "http.response.start":
            headers = [*message.get("headers", ()), (b"connection", b"close")]
            await self._send({**message, "headers": headers})
        else:
            await self._send({**message, "more_body": True})
            if not self._waits_for_100:
                await self._linger()
            await self._send({"type": "http.response.body"})

    async def _linger(self) -> None:
        left = LINGER_BYTES
        with suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                while left > 0:
                    message = await self._receive()
                    if not message.get("more_body", False):
                        break
                    left -= len(message["body"])
