"""The log: one line an event on standard error, as text or as JSON, with the request's id."""

import json
import logging
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, Literal

request_id: Final[ContextVar[str]] = ContextVar("request_id", default="-")
"""The id of the request that is served in this context; `-` outside of any."""

ACCESS_FIELDS: Final = ("method", "path", "status", "duration_ms", "bytes", "client")
"""What an access line says: attributes of its log record."""


class TextFormatter(logging.Formatter):
    """Lines for people: time, level, logger, request id, message; a trace on lines of its own."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line = (
            f"{_timestamp(record)} {record.levelname} {record.name} {request_id.get()} "
            f"{record.getMessage()}"
        )
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class JsonFormatter(logging.Formatter):
    """Lines for machines: one JSON object each, the access fields as members of their own."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: dict[str, Any] = {
            "time": _timestamp(record),
            "level": record.levelname,
            "logger": record.name,
            "request_id": request_id.get(),
            "message": record.getMessage(),
        }
        line.update(
            (name, getattr(record, name)) for name in ACCESS_FIELDS if hasattr(record, name)
        )
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False)


def log_config(log_format: Literal["text", "json"]) -> dict[str, Any]:
    """Describe the logging of the whole process, for `logging.config.dictConfig`."""
    formatter = {"text": TextFormatter, "json": JsonFormatter}[log_format]
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
        "root": {"level": "INFO", "handlers": ["stderr"]},
        "loggers": {
            # Says at WARNING what a client did wrong; the client is told, the log need not be.
            "python_multipart": {"level": "ERROR"},
            # Says at INFO each step that it takes.
            "alembic": {"level": "WARNING"},
            "uvicorn": {"level": "WARNING"},
        },
    }


def keep_records_short() -> None:
    """Do not find out for each record which thread and process it is from: no line here says it.

    For the whole process, once, where it begins.
    """
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False


def _timestamp(record: logging.LogRecord) -> str:
    """Write the time in UTC, to the millisecond (RFC 3339)."""
    seconds, rest = divmod(record.created, 1)
    return f"{_second(int(seconds))}.{int(rest * 1000):03}+00:00"


@lru_cache(1)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
