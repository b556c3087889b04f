"""HTTP/1.1 on the wire: uvicorn's protocol, with the bounds that it leaves to a proxy.

It refuses what must not reach the application: endless heads, requests that a proxy in front may
interpret differently, offers of other protocols, clients beyond `MAX_CONNECTIONS`, and clients that
do not take their response (ADR 11, ADR 21).
"""

import asyncio
import logging
import os
from asyncio import TimerHandle
from functools import partial
from typing import Any, Final, cast

import httptools
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api import health
from app.api.middleware.access_log import sent_id
from app.api.middleware.proxy_headers import is_trusted
from app.api.middleware.request_body import LINGER_SECONDS
from app.api.problems.kinds import (
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    REQUEST_TOO_SLOW,
    TOO_MANY_CONNECTIONS,
)
from app.api.problems.problem import Problem
from app.domain.ip_address import parse_address
from app.observability.logs import request_id
from app.observability.observer import SILENT, Observer
from app.server import http_head
from app.server.http_admission import Admission
from app.server.http_sendfile import EXTENSIONS, FileSendingCycle
from app.server.http_writer import ResponseWriter, has_unread_input

HEAD_SECONDS: Final = 10.0
"""From the start of a connection, or of a further request on it, to the end of the head."""
MAX_HEAD_BYTES: Final = 32 * 1024
"""For request line and header fields; also for all between two bytes of a body, and after it."""
MAX_PIPELINED: Final = 16
"""Requests that may be queued on a connection while an earlier one is answered."""
CLOSE_SECONDS: Final = 1.0
"""How long an idle client may take to close a connection that a stopping service has closed."""

_HEALTH_PREFIX: Final = f"{health.router.prefix}/".encode()
_log = logging.getLogger(__name__)


def bounded_protocol(max_connections: int, observer: Observer = SILENT) -> type[asyncio.Protocol]:
    """Return the factory of the connections of one process, for uvicorn.

    Args:
        max_connections: As MAX_CONNECTIONS.
        observer: Told what is refused, and how many connections there are.
    """
    admission = Admission(max_connections, observer)
    observer.watch_connections(admission.count_by_state)
    factory = partial(BoundedHttpProtocol, admission, observer)
    return cast("type[asyncio.Protocol]", factory)


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        admission: Admission,
        observer: Observer,
        *args: Any,  # noqa: ANN401 - passed on to uvicorn
        **kwargs: Any,  # noqa: ANN401 - the same
    ) -> None:
        super().__init__(*args, **kwargs)
        self._admission = admission
        self._observer = observer
        self._head_deadline: TimerHandle | None = None
        self._linger: TimerHandle | None = None
        self._overhead = 0
        """Bytes since the last head or piece of a body."""
        self._in_head = False
        self._input_ended = False
        """Whatever else arrives is discarded."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start the deadline for the first head."""
        super().connection_made(transport)
        self._writer = ResponseWriter(transport, self.loop, lambda: self.cycle.more_body)
        self._watch_head()
        self._admission.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Release everything."""
        self._admission.remove(self)
        self._cancel_head_deadline()
        self._writer.deadline.stop()
        if self._linger is not None:
            self._linger.cancel()
        super().connection_lost(exc)

    def has_unread_input(self) -> bool:
        """Return whether the client has sent something that is not read yet."""
        return has_unread_input(self.transport)

    def close(self) -> None:
        """Close when the client has taken its responses, or misses the deadline for that."""
        self._writer.close()

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and bound what is neither a complete head nor part of a body."""
        if self._input_ended:
            return
        self._unset_keepalive_if_required()
        self._overhead += len(data)
        try:
            self._parse(data)
        except httptools.HttpParserError as error:
            self._refuse(MALFORMED_REQUEST, str(error))
        if self._overhead > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE, f"{self._overhead} bytes without a complete head")
        self._watch_head()

    def eof_received(self) -> bool:  # type: ignore[override]
        """Answer the requests that are complete, then close; the rest of another will not arrive.

        Returns:
            Whether the connection stays open for responses.
        """
        if self._answers_whole_requests():
            self._end_input()
            return True
        self.close()
        return False

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()
        self.scope["extensions"] = EXTENSIONS

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head, but none of a trailer (RFC 9110, section 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request, unless it is refused."""
        if self._is_offer():
            return
        self._in_head = False
        self._overhead = 0
        if (refusal := self._find_refusal()) is not None:
            self._refuse(*refusal)
            raise _Refused
        try:
            super().on_headers_complete()
        except (httptools.HttpParserInvalidURLError, UnicodeDecodeError) as error:
            self._refuse(MALFORMED_REQUEST, "the target of the request cannot be read")
            raise _Refused from error
        self.cycle.transport = cast("asyncio.Transport", self._writer)
        self.cycle.__class__ = FileSendingCycle
        self._admission.begin(self)

    def on_body(self, body: bytes) -> None:
        """Pass on a piece of a body, without a copy if none is waiting to be read.

        uvicorn adds it to a bytearray, and passes on a copy of that (ADR 55). Added to empty bytes
        it stays what it is; to bytes, each further piece would copy all that are waiting.
        """
        self._overhead = 0
        waiting = cast("bytes | bytearray", self.cycle.body)
        if not waiting:
            self.cycle.body = cast("bytearray", b"")
        elif isinstance(waiting, bytes):
            self.cycle.body = bytearray(waiting)
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Pass on the end of a request."""
        if not self._is_offer():
            super().on_message_complete()

    def pause_writing(self) -> None:
        """Start the deadline for the client to take what was sent."""
        super().pause_writing()
        self._writer.deadline.start()

    def resume_writing(self) -> None:
        """Stop the deadline: the client has taken nearly all."""
        if not self.transport.is_closing():
            self._writer.deadline.stop()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on to the next request, or end the connection."""
        self._writer.end()
        if self._input_ended and self.pipeline and self.pipeline[-1][0].more_body:
            self.close()
        super().on_response_complete()
        if not self._has_unanswered_request() and not self.transport.is_closing():
            self._admission.rest(self)

    def end_with_answer(self) -> None:
        """Add `Connection: close` to a response whose head is not sent yet."""
        if self._has_unanswered_request() and not self.cycle.response_started:
            self.cycle.keep_alive = False

    def shutdown(self) -> None:
        """End the connection after the response to a request that has begun to arrive, or now.

        First the side towards the client, then, when the client closes too, the other: a request
        that crosses the end meets no reset, which would discard a response not yet read.
        """
        if self._has_unanswered_request():
            self.cycle.keep_alive = False
        elif not (self._in_head or self._input_ended or self.has_unread_input()):
            self._input_ended = True
            self._unset_keepalive_if_required()
            self._cancel_head_deadline()
            if not self.transport.is_closing():
                self.transport.write_eof()
            self._linger = self.loop.call_later(CLOSE_SECONDS, self.close)

    def timeout_keep_alive_handler(self) -> None:
        """Close an idle connection."""
        self.close()

    def _parse(self, data: bytes) -> None:
        """Parse what arrived, without the offers of other protocols (RFC 9110, section 7.8).

        After an offer the parser takes all that follows for the other protocol. So a new parser is
        fed the same head without the offer, and what follows.
        """
        while True:
            try:
                self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as offer:
                (end_of_head,) = offer.args
                method, version = self.parser.get_method(), self.parser.get_http_version()
                head = http_head.write_without_offer(method, self.url, version, self.headers)
                data = head + data[end_of_head:]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
            else:
                return

    def _is_offer(self) -> bool:
        return self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT"

    def _find_refusal(self) -> tuple[Problem, str] | None:
        """Return why the request is refused, if it is: the problem, and the reason to log."""
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > MAX_HEAD_BYTES:
            return HEAD_TOO_LARGE, f"{size} bytes"
        if len(self.pipeline) == MAX_PIPELINED:
            return MALFORMED_REQUEST, f"more than {MAX_PIPELINED} requests before a response"
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if ambiguity := http_head.find_ambiguity(method, version, self.headers):
            return MALFORMED_REQUEST, ambiguity
        if not (self._has_unanswered_request() or self._has_room(method)):
            return TOO_MANY_CONNECTIONS, "as many as MAX_CONNECTIONS are being served"
        return None

    def _has_room(self, method: bytes) -> bool:
        """Return whether the request may be served beside others; health checks have spare room."""
        return self._admission.has_room(len(self.tasks)) or (
            method in {b"GET", b"HEAD"}
            and self.url.startswith(_HEALTH_PREFIX)
            and not http_head.has_body(self.headers)
            and self._admission.has_room_for_health()
        )

    def _has_unanswered_request(self) -> bool:
        # Before the first request uvicorn's `cycle` is None, whatever its type says.
        return not getattr(self.cycle, "response_complete", True)

    def _answers_whole_requests(self) -> bool:
        """Return whether a complete request is not answered yet."""
        return self._has_unanswered_request() and bool(self.pipeline or not self.cycle.more_body)

    def _watch_head(self) -> None:
        if self._input_ended or self._has_unanswered_request():
            self._cancel_head_deadline()
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._head_overdue)

    def _head_overdue(self) -> None:
        if self._overhead:
            self._refuse(REQUEST_TOO_SLOW, f"no complete head within {HEAD_SECONDS:g} s")
        else:
            self.close()  # there is no request to answer

    def _refuse(self, problem: Problem, reason: str) -> None:
        """Answer with a problem and close; requests that came before are answered first.

        Args:
            problem: The response.
            reason: For the log; holds nothing that the client sent.
        """
        if self._input_ended or self.transport.is_closing():
            return
        client = parse_address(self.client[0]) if self.client else None
        refused_id = self._sent_id() or os.urandom(16).hex()
        token = request_id.set(refused_id)
        _log.warning("refused a request of %s: %s: %s", client or "-", problem.slug, reason)
        request_id.reset(token)
        self._observer.refusal(problem.slug)
        if self._answers_whole_requests():
            self._end_input()
            return
        if self._has_unanswered_request():
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self.close()
                return
        self._input_ended = True
        self._unset_keepalive_if_required()
        self._cancel_head_deadline()
        path = self.app_state["settings"].public_path
        headers = {"X-Request-ID": refused_id, "Connection": "close"}
        answer = problem.response(headers=headers).below(path)
        fields = [*self.server_state.default_headers, *answer.raw_headers]
        head = [b"%s: %s\r\n" % field for field in fields]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *head, b"\r\n", answer.body]))
        # Closed later: a reset would discard the response (see BodyLimit).
        self.transport.write_eof()
        self.flow.resume_reading()
        self._linger = self.loop.call_later(LINGER_SECONDS, self.close)

    def _sent_id(self) -> str:
        """Return the id that a trusted proxy has given to the request; empty = none has."""
        trusted = self.app_state["settings"].trusted_proxies
        if not (trusted and self.client and is_trusted(self.client[0], trusted)):
            return ""
        return sent_id(self.headers or ())

    def _end_input(self) -> None:
        """Read no further request, and close when the complete ones are answered."""
        self._input_ended = True
        self.cycle.keep_alive = False

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class _Refused(Exception):
    """Stops the parser."""
