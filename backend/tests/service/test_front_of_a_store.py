"""nginx in front of a service whose images are in a store, where it gets them."""

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from signal import SIGHUP
from time import time

import httpx
import pytest

from app.api.images import file_headers
from app.config.settings import Settings
from app.storage.s3 import calls
from testkit.ceph import Ceph
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_ceph, needs_nginx
from testkit.settings import over_bucket
from testkit.site import JPEG, Site, opened_site, same
from testkit.sockets import UPLOAD

pytestmark = [needs_nginx, needs_ceph]


@pytest.fixture
def site(settings: Settings, ceph: Ceph, bucket: str, tmp_path: Path) -> Iterator[Site]:
    with opened_site(over_bucket(settings, ceph, bucket), tmp_path / "front") as site:
        yield site


def key_of(site: Site) -> str:
    """Return the key of the image's object."""
    return f"{site.file.split('/')[4].replace('-', '')}.jpg"


def test_a_deleted_image_is_the_services_404(site: Site) -> None:
    """Other processes remember it for a while, and send nginx to a store that has it no more."""
    assert site.get(f"{site.file}?download=1").content == JPEG
    assert httpx.delete(f"{site.proxy.url}{site.file[:-5]}").status_code == 204
    for path in (site.file, f"{site.file}?download=1"):
        direct, through = site.both("GET", path)
        assert through.status_code == 404
        assert same(direct, through)


def test_what_the_store_says_of_a_missing_object_reaches_no_client(
    site: Site, ceph: Ceph, bucket: str
) -> None:
    ceph.ask("DELETE", f"{bucket}/{key_of(site)}")
    direct, through = site.both("GET", f"{site.file}?download=1")
    assert through.status_code == 500
    assert through.json()["type"] == "/problems#image-damaged"
    assert through.headers.get_list("cache-control") == ["no-store"]
    assert same(direct, through)


def test_an_address_of_a_store_that_is_not_there_is_in_no_log(
    site: Site, ceph: Ceph, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(calls, "RETRY_SECONDS", 0.5)
    site.get(f"{site.file}?download=1")
    ceph.gateway.kill()
    try:
        answer = site.get(f"{site.file}?download=1")
    finally:
        ceph.start_gateway()
    assert answer.status_code == 503
    assert answer.json()["type"] == "/problems#storage-unavailable"
    site.log()
    written = (site.proxy.folder / "errors").read_text() + "".join(site.proxy.requests)
    assert "X-Amz" not in written + caplog.text


def test_clients_cannot_have_nginx_ask_an_address(site: Site) -> None:
    answer = site.get(f"/image-host/store?{site.service.url}/health/live")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


def test_a_store_that_nginx_does_not_reach_is_read_by_the_service(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    configuration = site.proxy.folder / "image-host.conf"
    text = configuration.read_text()
    configuration.write_text(re.sub("^ +resolver .*$", "return 418;", text, flags=re.MULTILINE))
    site.proxy.process.send_signal(SIGHUP)
    caplog.set_level(logging.INFO, "app.api.middleware.access_log")

    def is_read_by_the_service() -> bool:
        caplog.clear()
        direct, through = site.both("GET", f"{site.file}?download=1")
        assert same(direct, through)
        sent = [vars(record)["bytes"] for record in caplog.records]
        return sent == [len(JPEG), 0, len(JPEG)]

    wait_until(is_read_by_the_service)


def test_files_beyond_the_limit_of_one_buffer_are_whole(site: Site) -> None:
    content = JPEG[:-2] + bytes(1_500_000) + JPEG[-2:]
    stored = httpx.post(f"{site.service.url}{UPLOAD}", files={"file": ("large.jpg", content)})
    path = httpx.URL(stored.json()["url"]).path
    assert site.get(f"{path}?download=1").content == content


def test_a_private_file_comes_from_the_store_to_whoever_has_its_address_and_to_nobody_else(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time()
    monkeypatch.setattr(file_headers, "time", lambda: now)  # both say how many seconds are left
    image = f"{site.proxy.url}{site.file[:-5]}"
    assert site.get().content == JPEG, "nginx has it in its cache"
    private = httpx.patch(image, json={"is_public": False}, timeout=TIMEOUT).json()
    signed = f"{site.file}?{private['url'].partition('?')[2]}"
    for path in (site.file, f"{site.file}?download=1", f"{signed[:-1]}{'AB'[signed[-1] == 'A']}"):
        direct, through = site.both("GET", path)
        assert through.status_code == 404
        assert same(direct, through)
    direct, through = site.both("GET", signed)
    assert (through.status_code, through.content) == (200, JPEG)
    assert same(direct, through)
    assert through.headers["cache-control"].startswith("private, max-age=")
    direct, through = site.both("GET", signed, headers={"Range": "bytes=5-14"})
    assert (through.status_code, through.content) == (206, JPEG[5:15])
    assert same(direct, through)
