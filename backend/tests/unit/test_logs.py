import json
import logging
import sys

import pytest

from app.observability.logs import JsonFormatter, TextFormatter, log_config, request_id


def record(message: str = "hello %s", **extra: object) -> logging.LogRecord:
    made = logging.LogRecord("app.x", logging.INFO, __file__, 1, message, ("you",), None)
    made.created = 1_795_000_000.25
    made.__dict__.update(extra)
    return made


def test_a_text_line_has_time_level_logger_request_and_message() -> None:
    token = request_id.set("4f1c")
    try:
        line = TextFormatter().format(record())
    finally:
        request_id.reset(token)
    assert line == "2026-11-18T11:06:40.250+00:00 INFO app.x 4f1c hello you"


def test_a_json_line_has_the_access_fields_as_members() -> None:
    line = json.loads(JsonFormatter().format(record(method="GET", status=200, bytes=5)))
    assert line == {
        "time": "2026-11-18T11:06:40.250+00:00",
        "level": "INFO",
        "logger": "app.x",
        "request_id": "-",
        "message": "hello you",
        "method": "GET",
        "status": 200,
        "bytes": 5,
    }


def test_a_json_line_stays_one_line_with_a_trace() -> None:
    failed = record()
    try:
        raise RuntimeError("broken\nin two")
    except RuntimeError:
        failed.exc_info = sys.exc_info()
    line = JsonFormatter().format(failed)
    assert "\n" not in line
    assert "RuntimeError: broken\nin two" in json.loads(line)["trace"]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_configuration_is_valid_for_logging(log_format: str) -> None:
    config = log_config("json" if log_format == "json" else "text")
    formatter = config["formatters"]["line"]["()"]()
    assert isinstance(formatter, logging.Formatter)
    assert config["root"]["handlers"] == ["stderr"]
