import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from app.observability.logs import (
    JsonFormatter,
    LogFormat,
    LogLevel,
    TextFormatter,
    log_config,
    request_id,
    trace_id,
)
from testkit.service import BACKEND

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


@contextmanager
def within(request: str, trace: str) -> Iterator[None]:
    tokens = request_id.set(request), trace_id.set(trace)
    yield
    request_id.reset(tokens[0])
    trace_id.reset(tokens[1])


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


@pytest.mark.parametrize(
    ("request_", "shown"), [("4f1c", f"4f1c trace_id={TRACE}"), ("-", f"- trace_id={TRACE}")]
)
def test_a_line_has_the_trace_that_it_is_part_of(request_: str, shown: str) -> None:
    with within(request_, TRACE):
        assert f" app.x {shown} hello you" in TextFormatter().format(record())
        line = json.loads(JsonFormatter().format(record()))
    assert (line["request_id"], line["trace_id"]) == (request_, TRACE)


def test_a_trace_that_nginx_has_made_of_the_request_id_is_not_written_twice() -> None:
    with within(TRACE, TRACE):
        assert TextFormatter().format(record()).endswith(f" app.x {TRACE} hello you")
        assert json.loads(JsonFormatter().format(record()))["trace_id"] == TRACE


LEVELS = ("debug", "info", "warning", "error")
SCRIPT = """
import logging.config, sys
from app.observability.logs import log_config
logging.config.dictConfig(log_config("text", sys.argv[1]))
for name in ("app.x", "botocore.auth", "procrastinate.worker"):
    for level in ("DEBUG", "INFO", "WARNING", "ERROR"):
        logging.getLogger(name).log(getattr(logging, level), "said")
"""


CUT_ANSWER = """
import asyncio, logging.config, uvicorn
from app.observability.logs import log_config
logging.config.dictConfig(log_config("text", "info"))

async def app(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    logging.getLogger("app.x").warning("why it is cut")

async def main():
    server = uvicorn.Server(uvicorn.Config(app, port=0, log_config=None, lifespan="off"))
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    address = server.servers[0].sockets[0].getsockname()
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    await reader.read()
    writer.close()
    server.should_exit = True
    await serving

asyncio.run(main())
"""


def test_an_answer_that_is_cut_has_the_line_with_the_cause_and_none_of_the_server() -> None:
    command = [sys.executable, "-c", CUT_ANSWER]
    run = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=BACKEND, capture_output=True, text=True, check=True
    )
    (line,) = run.stderr.splitlines()
    assert line.endswith("WARNING app.x - why it is cut")


@pytest.mark.parametrize("level", LEVELS)
def test_lines_below_the_level_are_left_out_and_libraries_never_debug(level: LogLevel) -> None:
    """At DEBUG, botocore logs what it signs."""
    command = [sys.executable, "-c", SCRIPT, level]
    run = subprocess.run(  # noqa: S603 - our own arguments
        command, cwd=BACKEND, capture_output=True, text=True, check=True
    )
    said = [tuple(line.split()[2:0:-1]) for line in run.stderr.splitlines()]
    at_least = [name.upper() for name in LEVELS[LEVELS.index(level) :]]
    assert [one for name, one in said if name == "app.x"] == at_least
    libraries = {
        "botocore.auth": ["INFO", "WARNING", "ERROR"],
        "procrastinate.worker": ["WARNING", "ERROR"],
    }
    for library, levels in libraries.items():
        assert [one for name, one in said if name == library] == [
            one for one in levels if one in at_least
        ]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_the_configuration_is_valid_for_logging(log_format: LogFormat) -> None:
    config = log_config(log_format, "info")
    formatter = config["formatters"]["line"]["()"]()
    assert isinstance(formatter, logging.Formatter)
    assert config["root"]["handlers"] == ["stderr"]
