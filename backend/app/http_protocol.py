"""HTTP/1.1 on the wire: uvicorn's protocol, with the bounds that it leaves to a proxy (ADR 0011).

Here ends what the application never gets to see: heads that do not end, requests that a proxy in
front may read in another way than we do, and clients that do not take their answer.
"""

import asyncio
from asyncio import TimerHandle
from typing import Any, Final, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from app.api.limits import LINGER_SECONDS, RequestTooSlow
from app.api.problems import (
    HEAD_TOO_LARGE,
    MALFORMED_REQUEST,
    PROBLEMS,
    TOO_MANY_CONNECTIONS,
    Problem,
)

HEAD_SECONDS: Final = 10.0
"""From the beginning of a connection, or of a further request on it, to the end of its head."""
MAX_HEAD_BYTES: Final = 32 * 1024
"""For request line and header fields; also for all between two bytes of a body, and after it."""
MAX_PIPELINED: Final = 16
"""Requests that may wait on a connection while an earlier one is answered."""
WRITE_SECONDS: Final = 60.0
"""How long a client may leave a piece of its answer, of at most some 128 KiB, untaken."""

_CONTINUE: Final = b"HTTP/1.1 100 "


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - handed on to uvicorn
        super().__init__(*args, **kwargs)
        self._head_deadline: TimerHandle | None = None
        self._write_deadline: TimerHandle | None = None
        self._end: TimerHandle | None = None
        self._overhead = 0
        """Bytes since the last head or piece of a body."""
        self._in_head = False
        self._deaf = False
        """What else arrives is thrown away."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for the first head."""
        super().connection_made(transport)
        self._answers = _Answers(transport, self)
        self._watch_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of everything."""
        self._cancel_head_deadline()
        self._cancel_write_deadline()
        if self._end is not None:
            self._end.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what arrived, and see how much of it was neither a whole head nor a body."""
        if self._deaf:
            return
        self._overhead += len(data)
        super().data_received(data)
        if self._overhead > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)
        self._watch_head()

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._in_head = True
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep a field of the head; one after the body is not as good (RFC 9110, section 6.5.1)."""
        if self._in_head:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """Begin a request, unless it is one that others may read in another way."""
        self._in_head = False
        self._overhead = 0
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if self.limit_concurrency and self._clients() >= self.limit_concurrency:
            self._refuse(TOO_MANY_CONNECTIONS)
        elif size > MAX_HEAD_BYTES:
            self._refuse(HEAD_TOO_LARGE)
        elif len(self.pipeline) == MAX_PIPELINED or not self._is_unambiguous():
            self._refuse(MALFORMED_REQUEST)
        if self._deaf:
            raise _Refused
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", self._answers)
        if self.parser.should_upgrade():
            # Served as if it had not asked (RFC 9110, section 7.8). But the parser takes all that
            # follows for another protocol, or worse, for a request.
            self._go_deaf()

    def on_body(self, body: bytes) -> None:
        """Hand on a piece of a body."""
        self._overhead = 0
        super().on_body(body)

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002 - the signature of uvicorn
        """Answer what is not HTTP."""
        self._refuse(MALFORMED_REQUEST)

    def pause_writing(self) -> None:
        """Begin to wait for the client to take what was sent."""
        super().pause_writing()
        self._write_deadline = self.loop.call_later(WRITE_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """Stop waiting: the client has taken nearly all."""
        self._cancel_write_deadline()
        super().resume_writing()

    def on_response_complete(self) -> None:
        """Go on to the next request, or see to it that the connection ends."""
        self._answers.end()
        super().on_response_complete()
        if self.transport.is_closing():
            self._end_within(WRITE_SECONDS)

    def timeout_keep_alive_handler(self) -> None:
        """Close the connection that nobody uses."""
        self._close()

    def _has_request_in_hand(self) -> bool:
        # Before the first request uvicorn's `cycle` is None, whatever its type says.
        return not getattr(self.cycle, "response_complete", True)

    def _clients(self) -> int:
        # A client that left may have a request that is still under way.
        return max(len(self.connections), len(self.tasks))

    def _is_unambiguous(self) -> bool:
        """Ask for one host (RFC 9112, section 3.2), and for a body whose end all agree on.

        What else is ambiguous, such as two lengths, httptools refuses by itself.
        """
        fields = [name for name, _ in self.headers]
        codings = [value.lower() for name, value in self.headers if name == b"transfer-encoding"]
        hosts = fields.count(b"host")
        has_body = bool(codings) or b"content-length" in fields
        return (
            (hosts == 1 or (hosts == 0 and self.parser.get_http_version() == "1.0"))
            and codings in ([], [b"chunked"])
            # httptools does not read the body of a request to upgrade, but takes it for a request.
            and not (has_body and self.parser.should_upgrade())
        )

    def _watch_head(self) -> None:
        if self._deaf or self._has_request_in_hand():
            self._cancel_head_deadline()
        elif self._head_deadline is None:
            self._head_deadline = self.loop.call_later(HEAD_SECONDS, self._head_overdue)

    def _head_overdue(self) -> None:
        if self._overhead:
            self._refuse(PROBLEMS[RequestTooSlow])
        else:
            self._close()  # it asked nothing, so there is nothing to answer

    def _refuse(self, problem: Problem) -> None:
        """Answer with a problem and close; requests that came before are answered first."""
        if self._deaf or self.transport.is_closing():
            return
        if self._has_request_in_hand():
            if not self.cycle.more_body:
                self._go_deaf()
                return
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.cycle.response_started:
                self._close()
                return
        self._deaf = True
        self._unset_keepalive_if_required()
        self._cancel_head_deadline()
        path = self.app_state["settings"].public_path
        answer = problem.response(headers={"Connection": "close"}).below(path)
        fields = [*self.server_state.default_headers, *answer.raw_headers]
        head = [b"%s: %s\r\n" % field for field in fields]
        self.transport.write(b"".join([STATUS_LINE[problem.status], *head, b"\r\n", answer.body]))
        # Closed only later: the answer would not survive data that is on its way (see BodyLimit).
        self.transport.write_eof()
        self.flow.resume_reading()
        self._end_within(LINGER_SECONDS)

    def _go_deaf(self) -> None:
        """Hear no more requests, and close when those in hand are answered."""
        self._deaf = True
        self.cycle.keep_alive = False

    def _close(self) -> None:
        """Close when the client has taken its answers, or at the latest when it had to."""
        self.transport.close()
        self._end_within(WRITE_SECONDS)

    def _end_within(self, seconds: float) -> None:
        if self._end is None:
            self._end = self.loop.call_later(seconds, self.transport.abort)

    def _cancel_write_deadline(self) -> None:
        if self._write_deadline is not None:
            self._write_deadline.cancel()
            self._write_deadline = None

    def _cancel_head_deadline(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None


class _Answers:
    """What answers are written to, one after the other; a head waits for the first of its body.

    uvicorn writes the two one by one, which makes two system calls and two packets of each answer.
    Where the request is not yet read to its end, the service may linger over it (see BodyLimit),
    and the head waits no longer than for the event loop's next turn.
    """

    def __init__(self, transport: asyncio.Transport, protocol: BoundedHttpProtocol) -> None:
        self._transport = transport
        self._protocol = protocol
        self._head = b""
        self._begun = False

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._transport.writelines([head, data])
        elif self._begun or data.startswith(_CONTINUE):  # a body may begin with that as well
            self._transport.write(data)
        else:
            self._head, self._begun = data, True
            if self._protocol.cycle.more_body:
                self._protocol.loop.call_soon(self._flush)

    def end(self) -> None:
        self._flush()
        self._begun = False

    def is_closing(self) -> bool:
        return self._transport.is_closing()

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class _Refused(Exception):
    """Stops the parser."""
