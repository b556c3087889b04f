"""The access log, and the last resort for errors that nothing else answered.

Every request gets an id, which its log lines and its answer carry, or has that of the trusted proxy
that it came through; so with the trace that it is part of. A client's own ids are ignored: they
could forge log lines, and two requests could share one.
"""

import logging
import os
import re
import time
from collections.abc import Iterable
from typing import Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.proxy_headers import IS_FORWARDED
from app.api.observed import BODY_BYTES, FILE_WAY, ROUTE
from app.api.problems.kinds import INTERNAL_ERROR
from app.api.problems.problem import FILE_PROBLEMS, PROBLEM
from app.api.trace_context import parse_traceparent
from app.observability.logs import request_id, row_cache, trace_id
from app.observability.observer import SILENT, Observer
from app.observability.reasons import reason

CLIENT_CLOSED_REQUEST: Final = 499
"""Logged where the client disconnected before there was an answer (nginx's number for it)."""

MOST_OF_AN_AGENT: Final = 200
"""Bytes of User-Agent that are logged."""

_ID: Final = re.compile(rb"[0-9a-f]{32}")
"""An id as it is made here, and by nginx ($request_id)."""

_KEY_IN_PATH: Final = re.compile("(ih_[0-9A-Za-z]{8})_[^/]+")
"""A whole API key where only its beginning belongs, which is all that is logged."""

_log = logging.getLogger(__name__)
_RECORD: Final = vars(
    logging.LogRecord(
        __name__, logging.INFO, __file__, 0, "%s %s %s %sms %sB %s", args=None, exc_info=None
    )
)
"""What all records of the access log have in common."""


class AccessLog:
    """Middleware that logs one line for each request: what was asked, and how it was answered.

    Args:
        app: What answers.
        observer: Told the same.
        has_details: Whether lines also say by which program the client asked, and whether the cache
            had the row.
    """

    def __init__(
        self, app: ASGIApp, observer: Observer = SILENT, *, has_details: bool = False
    ) -> None:
        self._app = app
        self._observer = observer
        self._has_details = has_details

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        is_forwarded = IS_FORWARDED in scope
        current_id = (is_forwarded and sent_id(scope["headers"])) or os.urandom(16).hex()
        token = request_id.set(current_id)
        trace = is_forwarded and parse_traceparent(_values(scope, b"traceparent"))
        trace_token = trace_id.set(trace) if trace else None
        status = CLIENT_CLOSED_REQUEST
        sent = 0
        started = False

        async def send_and_count(message: Message) -> None:
            nonlocal status, sent, started
            if message["type"] == "http.response.start":
                started = True
                status = message["status"]
                headers = [*message.get("headers", ()), (b"x-request-id", current_id.encode())]
                message = {**message, "headers": headers}
            elif scope["method"] != "HEAD":
                sent += len(message.get("body", b"")) + message.get("count", 0)
            await send(message)

        try:
            await self._app(scope, receive, send_and_count)
        except ClientDisconnect:
            pass
        except Exception as error:  # noqa: BLE001 - the last resort: answered, and in the log
            _log.exception("%s: %s", INTERNAL_ERROR.slug, reason(error))
            if not started:
                await INTERNAL_ERROR.response()(scope, receive, send_and_count)
            # A started answer stays incomplete, and the server closes the connection.
        finally:
            seconds = time.perf_counter() - begin
            self._write_line(scope, status, seconds, sent)
            if not self._observer.is_silent:
                self._observe(scope, status, seconds, sent)
            request_id.reset(token)
            if trace_token:
                trace_id.reset(trace_token)

    def _observe(self, scope: Scope, status: int, seconds: float, sent: int) -> None:
        route = getattr(scope.get("route"), "path_format", "") or scope.get(ROUTE, "")
        self._observer.request(route, scope["method"], status, seconds, sent)
        if way := scope.get(FILE_WAY):
            self._observer.file_response(way)
        if received := scope.get(BODY_BYTES):
            self._observer.request_body(route, received)
        if problem := scope.get(PROBLEM):
            self._observer.problem(problem)
        for problem in scope.get(FILE_PROBLEMS, ()):
            self._observer.problem(problem)

    def _write_line(self, scope: Scope, status: int, seconds: float, sent: int) -> None:
        if not _log.isEnabledFor(logging.INFO):
            return
        client = scope.get("client")
        fields = {
            "method": scope["method"],
            "path": quote(_KEY_IN_PATH.sub(r"\1", scope["path"])),
            "status": int(status),
            "duration_ms": round(seconds * 1000, 1),
            "bytes": sent,
            "client": client[0] if client else "-",
        }
        details = _details(scope) if self._has_details else {}
        # As `info` would, in half the time: nothing is looked up that all records share.
        record = logging.LogRecord.__new__(logging.LogRecord)
        shown = (*fields.values(),)
        vars(record).update(_RECORD, args=shown, created=time.time(), **fields, **details)
        _log.handle(record)


def sent_id(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """Return the id that a request was sent with; empty = none. Only a proxy's is to be used."""
    sent = next((value for name, value in headers if name == b"x-request-id"), b"")
    return sent.decode() if _ID.fullmatch(sent) else ""


def _details(scope: Scope) -> dict[str, str]:
    """Return what lines in JSON have beside the others, of what there is of it."""
    details = {}
    if agents := _values(scope, b"user-agent"):
        visible = agents[0][:MOST_OF_AN_AGENT].decode("latin-1").encode("unicode_escape")
        details["user_agent"] = visible.decode("ascii")
    if found := row_cache.get():
        details["cache"] = found
        row_cache.set("")
    return details


def _values(scope: Scope, name: bytes) -> list[bytes]:
    return [value for field, value in scope["headers"] if field == name]
