"""The access log, and the last resort for errors that nothing else answered.

Every request gets an id, which its log lines and its answer carry, or has that of the trusted proxy
that it came through. A client's own id is ignored: it could forge log lines, and two requests could
share one.
"""

import logging
import os
import re
import time
from typing import Final
from urllib.parse import quote

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.middleware.proxy_headers import IS_FORWARDED
from app.api.observed import BODY_BYTES, FILE_WAY, ROUTE
from app.api.problems.kinds import INTERNAL_ERROR
from app.api.problems.problem import PROBLEM
from app.observability.logs import request_id
from app.observability.observer import SILENT, Observer

CLIENT_CLOSED_REQUEST: Final = 499
"""Logged where the client disconnected before there was an answer (nginx's number for it)."""

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
    """

    def __init__(self, app: ASGIApp, observer: Observer = SILENT) -> None:
        self._app = app
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        begin = time.perf_counter()
        current_id = (IS_FORWARDED in scope and _id_of(scope)) or os.urandom(16).hex()
        token = request_id.set(current_id)
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
        except Exception:  # noqa: BLE001 - the last resort: answered, and in the log
            _log.exception("unhandled error")
            if not started:
                await INTERNAL_ERROR.response()(scope, receive, send_and_count)
            # A started answer stays incomplete, and the server closes the connection.
        finally:
            seconds = time.perf_counter() - begin
            self._write_line(scope, status, seconds, sent)
            if not self._observer.is_silent:
                self._observe(scope, status, seconds, sent)
            request_id.reset(token)

    def _observe(self, scope: Scope, status: int, seconds: float, sent: int) -> None:
        route = getattr(scope.get("route"), "path_format", "") or scope.get(ROUTE, "")
        self._observer.request(route, scope["method"], status, seconds, sent)
        if way := scope.get(FILE_WAY):
            self._observer.file_response(way)
        if received := scope.get(BODY_BYTES):
            self._observer.request_body(route, received)
        if problem := scope.get(PROBLEM):
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
        # As `info` would, in half the time: nothing is looked up that all records share.
        record = logging.LogRecord.__new__(logging.LogRecord)
        vars(record).update(_RECORD, args=(*fields.values(),), created=time.time(), **fields)
        _log.handle(record)


def _id_of(scope: Scope) -> str:
    """Return the id that a request has already; empty = none."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode() if _ID.fullmatch(sent) else ""
