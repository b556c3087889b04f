"""The log of this process, as operators read it: with the ids of requests and traces."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from app.observability.logs import JsonFormatter, LogLevel

Line = dict[str, Any]


class Log(logging.Handler):
    """Keeps lines, each formatted where it is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[Line] = []
        self.setFormatter(JsonFormatter())

    def emit(self, record: logging.LogRecord) -> None:
        """Keep a line."""
        self.lines.append(json.loads(self.format(record)))

    def of_request(self, request_id: str) -> list[Line]:
        """Return the lines of a request, without that of the access log."""
        return [
            line
            for line in self.lines
            if line["request_id"] == request_id and "duration_ms" not in line
        ]

    def about(self, words: str) -> list[Line]:
        """Return the lines that have some words."""
        return [line for line in self.lines if words in line["message"]]


@contextmanager
def logging_to(name: str = "app", level: LogLevel = "info") -> Iterator[Log]:
    """Keep what a logger, and those below it, log until the end of the block."""
    logger, log = logging.getLogger(name), Log()
    previous = logger.level
    logger.setLevel(level.upper())
    logger.addHandler(log)
    try:
        yield log
    finally:
        logger.removeHandler(log)
        logger.setLevel(previous)
