"""What nginx in front logs of requests: which program, the cache, the service, and the trace."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.config.settings import Settings
from testkit.live import TIMEOUT, wait_until
from testkit.logs import logging_to
from testkit.programs import needs_nginx
from testkit.site import Site, opened_site
from testkit.sockets import read_to_end

pytestmark = needs_nginx

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
PARENT = {"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"}


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[Site]:
    lasting = settings.model_copy(update={"front_lease_seconds": 20})
    with opened_site(lasting, tmp_path / "front", log_format="json") as site:
        yield site


def lines(site: Site) -> dict[str, dict[str, Any]]:
    """Return what was logged, by the ids of requests."""
    return {line["request_id"]: line for line in map(json.loads, site.proxy.requests)}


def line_of(site: Site, answer: httpx.Response) -> dict[str, Any]:
    request_id = answer.headers["x-request-id"]
    wait_until(lambda: request_id in lines(site))
    return lines(site)[request_id]


def test_a_json_line_has_the_program_the_cache_and_the_service(site: Site) -> None:
    answers = [site.get(**{"User-Agent": 'x"y\\z'}) for _ in range(2)]
    first, second = (line_of(site, answer) for answer in answers)
    shown = ("client", "method", "path", "status", "user_agent", "cache", "service_status")
    common = ("127.0.0.1", "GET", site.file, 200, 'x"y\\z')
    assert tuple(first[name] for name in shown) == (*common, "MISS", "200")
    assert tuple(second[name] for name in shown) == (*common, "HIT", "")
    assert first["service"] == f"127.0.0.1:{site.service.port}"
    assert 0 <= first["seconds"] < TIMEOUT
    assert first["bytes"] == len(answers[0].content)


def test_bytes_of_strangers_are_bounded_and_the_line_stays_json(site: Site) -> None:
    agent = b"caf\xc3\xa9 \x9b31m"
    for request in (
        b"GET /caf\xff?secret HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"User-Agent: " + agent + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"
        b"User-Agent: " + b"x" * 10_000 + b"\r\n\r\n",
        b"GET /old\r\n",
    ):
        with socket.create_connection(("127.0.0.1", site.proxy.port), timeout=TIMEOUT) as client:
            client.sendall(request)
            read_to_end(client)
    asked = {"/caf", "/", "/old"}
    wait_until(lambda: asked <= {line["path"] for line in lines(site).values()})
    found = {line["path"]: line for line in lines(site).values()}
    assert found["/caf"]["user_agent"] == "caf"
    assert found["/"]["user_agent"] == "x" * 200
    assert found["/old"]["status"] in {0, 400}
    assert "secret" not in (site.proxy.folder / "log").read_text()


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_why_there_is_no_answer_is_in_its_line(
    settings: Settings, tmp_path: Path, log_format: str
) -> None:
    with opened_site(settings, tmp_path / "front", log_format=log_format) as site:
        site.stopping.close()
        wait_until(lambda: site.get("/").status_code == 502)
        request_id = site.get("/").headers["x-request-id"]
        wait_until(lambda: any(request_id in line for line in site.proxy.requests))
        [line] = [line for line in site.proxy.requests if request_id in line]
    service = f"127.0.0.1:{site.service.port}"
    if log_format == "text":
        assert f" service={service}/502/" in line
    else:
        named = json.loads(line)
        assert (named["service"], named["service_status"]) == (service, "502")


def test_each_request_is_a_trace_of_its_own_whatever_its_client_says(site: Site) -> None:
    with logging_to() as log:
        answer = site.get("/health/live", **PARENT)
        request_id = answer.headers["x-request-id"]
        wait_until(lambda: [line for line in log.lines if line["request_id"] == request_id])
    assert {line["trace_id"] for line in log.lines if line["request_id"] == request_id} == {
        request_id
    }
    assert line_of(site, answer)["trace_id"] == request_id


def test_behind_another_proxy_its_trace_is_kept(settings: Settings, tmp_path: Path) -> None:
    own = tmp_path / "front" / "include" / "traces.conf"
    own.parent.mkdir(parents=True)
    own.write_text("set $image_host_traceparent $http_traceparent;\n")
    with opened_site(settings, tmp_path / "front", log_format="json") as site, logging_to() as log:
        answers = [site.get("/health/live", **headers) for headers in (PARENT, {})]
        ids = [answer.headers["x-request-id"] for answer in answers]
        wait_until(lambda: {*ids} <= {line["request_id"] for line in log.lines})
        assert [line_of(site, answer)["trace_id"] for answer in answers] == [TRACE, ""]
    traces = {line["request_id"]: line.get("trace_id") for line in log.lines}
    assert [traces[one] for one in ids] == [TRACE, None]
