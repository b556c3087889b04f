"""Debian's nginx in front of the service, by the template that operators use."""

import json
import logging
import re
import socket
import ssl
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.problems.kinds import KINDS
from app.config.settings import Settings
from app.observability.logs import TextFormatter
from testkit.front import front
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_ceph, needs_nginx
from testkit.settings import over_bucket
from testkit.site import IMAGES, JPEG, Site, opened_site, same
from testkit.sockets import UPLOAD, read_to_end

pytestmark = needs_nginx


@pytest.fixture(params=["folder", pytest.param("bucket", marks=needs_ceph)])
def storing(request: pytest.FixtureRequest, settings: Settings) -> Settings:
    """Give the settings of a service over each storage that nginx can read."""
    if request.param == "folder":
        return settings
    return over_bucket(settings, *map(request.getfixturevalue, ("ceph", "bucket")))


@pytest.fixture
def any_site(storing: Settings, tmp_path: Path) -> Iterator[Site]:
    with opened_site(storing, tmp_path / "front") as site:
        yield site


@pytest.fixture
def site(settings: Settings, tmp_path: Path) -> Iterator[Site]:
    with opened_site(settings, tmp_path / "front") as site:
        yield site


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"Authorization": "Bearer x"},
        {"Range": "bytes=0-9"},
        {"Range": "bytes=-9"},
        {"Range": "bytes=99999999-"},
        {"Range": "bytes=5-2"},
        {"Range": "bytes=x"},
        {"Range": "bytes=0-1,3-4"},
        {"Range": "bytes=0-9", "If-Range": "ETAG"},
        {"Range": "bytes=0-9", "If-Range": '"x"'},
        {"If-None-Match": "ETAG"},
        {"If-None-Match": 'W/"x", ETAG'},
        {"If-None-Match": "*"},
        {"If-None-Match": '"x"'},
        {"If-None-Match": "ETAG", "If-Modified-Since": "DATE"},
        {"If-Modified-Since": "DATE"},
        {"If-Modified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
        {"If-Modified-Since": "Fri, 01 Jan 2038 00:00:00 GMT"},
        {"If-Modified-Since": "yesterday"},
        {"If-Match": "ETAG"},
        {"If-Match": '"x"'},
        {"If-Unmodified-Since": "DATE"},
        {"If-Unmodified-Since": "Mon, 01 Jan 2024 00:00:00 GMT"},
    ],
    ids=lambda fields: " ".join(f"{name}={value}" for name, value in fields.items()) or "plain",
)
def test_files_are_answered_as_without_nginx(any_site: Site, fields: dict[str, str]) -> None:
    known = httpx.head(f"{any_site.service.url}{any_site.file}").headers
    fields = {
        name: value.replace("ETAG", known["etag"]).replace("DATE", known["last-modified"])
        for name, value in fields.items()
    }
    for path in (any_site.file, f"{any_site.file}?download=1", f"{any_site.file}?download=0"):
        for method in ("GET", "HEAD"):
            for _ in range(2):  # the second may come from the cache
                assert same(*any_site.both(method, path, headers=fields))


@pytest.mark.parametrize(
    ("method", "path", "options"),
    [
        ("GET", "/", {}),
        ("GET", "/docs", {}),
        ("GET", "/nothing", {}),
        ("GET", "//api/v1/limits", {}),
        ("GET", "/api/v1/../v1/limits", {}),
        ("GET", f"{IMAGES}?limit=0", {}),
        ("GET", f"{IMAGES}/", {}),
        ("GET", f"{IMAGES}/no/file", {}),
        ("GET", f"{IMAGES}/00000000-0000-4000-8000-000000000000/file", {}),
        ("GET", f"{IMAGES}/00000000-0000-4000-8000-000000000000/thumbnails/7", {}),
        ("OPTIONS", f"{IMAGES}/00000000-0000-4000-8000-000000000000/file", {}),
        ("DELETE", f"{IMAGES}/00000000-0000-4000-8000-000000000000/file", {}),
        ("TRACE", "/", {}),
        ("GET", "/image-host/files/", {}),
        ("GET", "/image-host/files/00/0.jpg", {}),
        ("GET", "/image-host/problem", {}),
        ("GET", "/assets/old/page.css", {}),
        ("GET", f"/{'a' * 40_000}", {}),
        ("GET", "/", {"headers": {"X-Large": "a" * 33_000}}),
        ("GET", "/", {"headers": {"X-Large": "a" * 20_000, "X-Larger": "a" * 20_000}}),
        ("POST", f"{IMAGES}/batch-delete", {"content": b"x" * 70_000}),
        ("POST", f"{IMAGES}/upload/", {"content": b"x" * 3_000_000}),
        ("POST", UPLOAD, {"content": b"x" * 3_000_000}),
        ("POST", UPLOAD, {"files": {"file": b"no image"}}),
        ("POST", "/nothing", {"content": b"x" * 3_000_000}),
    ],
)
def test_errors_and_all_else_are_answered_as_without_nginx(
    site: Site, method: str, path: str, options: dict[str, Any]
) -> None:
    assert same(*site.both(method, path, **options))


def test_a_file_is_fetched_once_and_then_asked_about_when_its_lease_is_over(any_site: Site) -> None:
    assert all(any_site.get().content == JPEG for _ in range(5))
    wait_until(lambda: any_site.get().is_success and "REVALIDATED" in any_site.statuses())
    statuses = Counter(any_site.statuses())
    assert statuses["MISS"] == 1
    assert set(statuses) == {"MISS", "HIT", "REVALIDATED"}


def test_identical_requests_are_one_for_the_service(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.api.middleware.access_log")
    with ThreadPoolExecutor(50) as clients:
        answers = list(clients.map(lambda _: site.get().content, range(50)))
    assert answers == [JPEG] * 50

    def sent() -> list[dict[str, Any]]:
        lines = [vars(record) for record in caplog.records]
        of_file = [line for line in lines if line.get("path") == site.file]
        return [line for line in of_file if line["status"] == 200]

    wait_until(sent)  # a line is written after its answer
    assert len(sent()) == 1


@pytest.mark.parametrize(("written", "otherwise"), [("file", "%66ile"), ("/", "%2F"), ("-", "%2D")])
def test_a_file_is_cached_under_one_of_the_ways_to_write_its_path(
    site: Site, written: str, otherwise: str
) -> None:
    """There are millions of ways, and each would have a copy in the cache."""
    path = otherwise.join(site.file.rpartition(written)[::2])
    assert [site.get(one).content for one in (site.file, path, path)] == [JPEG] * 3
    assert site.statuses() == ["MISS", "-", "-"]


def test_private_answers_are_never_from_the_cache(any_site: Site) -> None:
    for fields in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Bearer x"}):
        assert any_site.get(**fields).content == JPEG
    assert any_site.statuses() == ["MISS", "-", "-"]


def test_no_client_is_sent_a_deleted_file_after_the_answer(any_site: Site) -> None:
    stop = threading.Event()

    def read() -> None:
        with httpx.Client(base_url=any_site.proxy.url, timeout=TIMEOUT) as client:
            while not stop.is_set():
                client.get(any_site.file)

    with ThreadPoolExecutor(4) as clients:
        reading = [clients.submit(read) for _ in range(4)]
        try:
            with httpx.Client(base_url=any_site.proxy.url, timeout=TIMEOUT) as client:
                for _ in range(3):
                    deleted = any_site.file
                    assert client.get(deleted).status_code == 200
                    assert client.delete(deleted.removesuffix("/file")).status_code == 204
                    assert {client.get(deleted).status_code for _ in range(50)} == {404}
                    stored = client.post(UPLOAD, files={"file": JPEG}).json()
                    any_site.file = f"{IMAGES}/{stored['id']}/file"
        finally:
            stop.set()
        for one in reading:
            one.result(TIMEOUT)


def test_another_name_is_shown_when_the_lease_is_over(site: Site) -> None:
    assert "photo.jpg" in site.get().headers["content-disposition"]
    image = f"{site.proxy.url}{site.file.removesuffix('/file')}"
    assert httpx.patch(image, json={"filename": "new.jpg"}).status_code == 200
    wait_until(lambda: "new.jpg" in site.get().headers["content-disposition"])


def test_each_answer_has_the_id_that_both_log(
    site: Site, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caplog.handler, "formatter", TextFormatter())  # for later tests it is kept
    caplog.set_level(logging.INFO, "app.api.middleware.access_log")
    ids = [site.get().headers["x-request-id"] for _ in range(3)]
    assert len(set(ids)) == 3, "that of the request which filled the cache is not sent again"
    assert list(site.log()) == ids
    wait_until(lambda: ids[0] in caplog.text)


def test_the_log_has_no_query(site: Site) -> None:
    site.get(f"{site.file}?download=1&token=secret")
    (line,) = site.log().values()
    assert f'"GET {site.file}" 200 ' in line


def test_what_is_not_cached_is_sent_from_the_folder_or_store(
    any_site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app.api.middleware.access_log")
    assert any_site.get(f"{any_site.file}?download=1").content == JPEG
    assert any_site.get(Authorization="Bearer x").content == JPEG

    def sent() -> list[int]:
        lines = [vars(record) for record in caplog.records]
        return [line["bytes"] for line in lines if "file" in line["path"]]

    wait_until(lambda: len(sent()) == 2)
    assert sent() == [0, 0], "by the service itself"


def test_a_file_that_nginx_cannot_read_is_sent_by_the_service(
    settings: Settings, tmp_path: Path
) -> None:
    with opened_site(settings, tmp_path / "front") as site:
        elsewhere = [site.service.port], tmp_path / "nothing"
        with front(tmp_path / "other", *elsewhere) as proxy:
            response = httpx.get(f"{proxy.url}{site.file}?download=1")
            assert (response.status_code, response.content) == (200, JPEG)
            assert response.headers["content-disposition"].startswith("attachment")


def test_a_service_that_does_not_answer_is_a_problem_document(site: Site) -> None:
    path = site.file
    assert site.get().is_success
    site.stopping.close()
    wait_until(lambda: site.get().status_code == 502)
    for method, target, size in (
        ("GET", path, 0),
        ("GET", "/", 0),
        ("DELETE", path, 0),
        ("POST", UPLOAD, 0),
        ("POST", UPLOAD, 2_000_000),
    ):
        response = httpx.request(method, f"{site.proxy.url}{target}", content=bytes(size))
        assert response.status_code == 502
        assert response.headers["content-type"] == "application/problem+json"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-request-id"]
        assert response.json()["type"] == "/problems#no-answer"
        shown_to_any_site = response.headers.get("access-control-allow-origin") == "*"
        assert shown_to_any_site == (target == path)


def test_cached_files_are_served_for_a_while_without_a_service_where_that_is_wanted(
    settings: Settings, tmp_path: Path
) -> None:
    with opened_site(settings, tmp_path / "front", front_stale_seconds=8) as site:
        assert site.get().is_success
        site.stopping.close()
        wait_until(lambda: site.get().status_code == 502)
        assert "STALE" in site.statuses()


def test_what_is_deleted_is_not_served_for_that_while(settings: Settings, tmp_path: Path) -> None:
    with opened_site(settings, tmp_path / "front", front_stale_seconds=60) as site:
        assert site.get().is_success
        image = f"{site.proxy.url}{site.file.removesuffix('/file')}"
        assert httpx.delete(image).status_code == 204
        assert site.get().status_code == 404


def test_below_a_path_everything_works_and_beside_it_is_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    with opened_site(settings, tmp_path / "front", "/pics") as site:
        for path in ("/", site.file, f"{site.file}?download=1", "/nothing", "/docs"):
            assert same(*site.both("GET", path))
        root = site.proxy.url.removesuffix("/pics")
        assert httpx.get(f"{root}/pics").headers["location"] == "/pics/"
        for path in ("/", site.file, "/nothing", "/picsx/"):
            beside = httpx.get(f"{root}{path}")
            assert beside.status_code == 404
            assert beside.json()["type"] == "/pics/problems#not-found"
        site.stopping.close()
        assert site.get("/").json()["type"] == "/pics/problems#no-answer"


def test_an_upload_reaches_the_service_while_it_arrives(site: Site) -> None:
    """So one that is no image is refused after its first bytes, not after the last."""
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nno image'
    with socket.create_connection(("127.0.0.1", site.proxy.port), timeout=TIMEOUT) as client:
        head = [
            f"POST {UPLOAD} HTTP/1.1",
            "Host: localhost",
            "Content-Type: multipart/form-data; boundary=b",
            "Content-Length: 1000000",
            "Connection: close",
        ]
        client.sendall("\r\n".join([*head, "", ""]).encode() + form + bytes(1000))
        answer = client.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"#invalid-file-type" in answer


@pytest.mark.parametrize(
    "request_line", [b"GET / HTTP/3.0", b"GET", b"\x16\x03\x01", b"GET /%zz HTTP/1.1"]
)
def test_what_is_no_request_is_answered_with_a_problem(site: Site, request_line: bytes) -> None:
    with socket.create_connection(("127.0.0.1", site.proxy.port), timeout=TIMEOUT) as client:
        client.sendall(request_line + b"\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        head, _, body = read_to_end(client).partition(b"\r\n\r\n")
    problem = json.loads(body)
    assert problem["type"] == "/problems#malformed-request"
    assert head.startswith(f"HTTP/1.1 {problem['status']} ".encode())


def test_the_cache_is_closed_to_other_users_and_has_no_answer_with_a_key(site: Site) -> None:
    site.get()
    cache = site.proxy.folder / "cache"
    assert cache.stat().st_mode & 0o77 == 0
    assert len([file for file in cache.rglob("*") if file.is_file()]) == 1


def test_http2_and_tls_work_as_the_example_says(settings: Settings, tmp_path: Path) -> None:
    with (
        opened_site(settings, tmp_path / "front") as site,
        front(
            tmp_path / "tls", [site.service.port], settings.data_dir / "images", tls=True
        ) as proxy,
    ):
        trusted = ssl.create_default_context(cafile=proxy.folder / "localhost.crt")
        response = httpx.get(f"{proxy.tls_url}{site.file}", verify=trusted)
        assert response.content == JPEG
        stored = httpx.post(f"{proxy.tls_url}{UPLOAD}", files={"file": JPEG}, verify=trusted)
        assert stored.json()["url"].startswith(proxy.tls_url)


def test_its_own_problems_are_worded_as_the_services(site: Site) -> None:
    configuration = (site.proxy.folder / "image-host.conf").read_text()
    bodies = [json.loads(found) for found in re.findall(r"'(\{\"type\".*\})';", configuration)]
    kinds = {kind.type: kind for kind in KINDS}
    assert len(bodies) > 5
    for body in bodies:
        kind = kinds[body["type"]]
        expected = kind.body()
        members = set(expected) - ({"detail"} if kind.slug == "body-too-large" else set())
        assert {name: body[name] for name in members} == {name: expected[name] for name in members}
