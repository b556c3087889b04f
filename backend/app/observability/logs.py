"""The log: one line an event on standard error, as text or as JSON, with the request's id."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")
"""The id of the request that is served in this context; `-` outside of any."""

trace_id: Final[ContextVar[str]] = ContextVar("trace_id", default="")
"""The trace that what happens in this context is part of (W3C Trace Context); empty = of none."""
row_cache: Final[ContextVar[str]] = ContextVar("row_cache", default="")
"""Whether the cache had the row that was looked up last in this context: `hit` or `miss`; empty =
none was looked up there."""

ACCESS_FIELDS: Final = (
    *("method", "path", "status", "duration_ms", "bytes", "client"),
    *("user_agent", "cache"),
)
"""The fields of an access line: attributes of its log record. The last two are in JSON only."""

LogFormat = Literal["text", "json"]
LogLevel = Literal["debug", "info", "warning", "error"]


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, logger, request id, message; a trace on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        request, trace = request_id.get(), trace_id.get()
        # nginx in front makes one of the other.
        ids = f"{request} trace_id={trace}" if trace and trace != request else request
        line = f"{_timestamp(record)} {record.levelname} {record.name} {ids} {record.getMessage()}"
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """Lines for machines: one JSON object each, the access fields as members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        line: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        if trace := trace_id.get():
            line["trace_id"] = trace
        line |= {name: getattr(record, name) for name in ACCESS_FIELDS if hasattr(record, name)}
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


class _WithCause(logging.Filter):
    """Leaves out what uvicorn says, without a cause or an id, of an answer that is cut.

    The application has said before why it is.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Return whether a record is another."""
        return record.msg != "ASGI callable returned without completing response."


def log_config(log_format: LogFormat, log_level: LogLevel) -> dict[str, Any]:
    """Return the logging of the whole process, for `logging.config.dictConfig`.

    Args:
        log_format: Of each line.
        log_level: The least level of lines. Libraries say nothing below INFO: at DEBUG some of them
            log what they send, which may be secret.
    """
    formatter = {"text": TextFormatter, "json": JsonFormatter}[log_format]
    level = log_level.upper()
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "filters": {"with_cause": {"()": _WithCause}},
        "handlers": {
            "stderr": {"class": "logging.StreamHandler", "formatter": "line", "level": level}
        },
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            "app": {"level": level},
            # Logs a client's mistakes at WARNING; the response reports them.
            "python_multipart": {"level": "ERROR"},
            # Logs each step at INFO.
            "alembic": {"level": "WARNING"},
            "procrastinate": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING"},
            "uvicorn.error": {"filters": ["with_cause"]},
        },
    }


def keep_records_short() -> None:
    """Skip the lookup of thread and process for each record, which no format prints.

    Called once, at the start of a process.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _timestamp(record: logging.LogRecord) -> str:
    """Return the time in UTC, to the millisecond (RFC 3339)."""
    seconds, rest = divmod(record.created, 1)
    return f"{_second(int(seconds))}.{int(rest * 1000):03}+00:00"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
