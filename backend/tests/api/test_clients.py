"""File names through the clients that people use, over a real socket."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from shutil import which
from typing import Any

import httpx
import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit import samples
from testkit.forms import CONTENT_TYPE, form, raw_part
from testkit.live import TIMEOUT, serve

CURL = which("curl")
JPEG = samples.jpeg()
NAMES = {
    'say "cheese".jpg': 'say "cheese".jpg',
    "100%25.jpg": "100%25.jpg",
    "%22.jpg": '".jpg',  # what a browser sends for a quote, so it is one
    "two\nlines.jpg": "two lines.jpg",
    "图 und “Zürich”.jpg": "图 und “Zürich”.jpg",
}
"""Names, and what is stored of them."""


@pytest.fixture
def address(settings: Settings) -> Iterator[str]:
    with serve(create_app(settings)) as server:
        yield f"{server.url}/api/v1/images/upload"


@pytest.mark.parametrize("name", NAMES)
def test_httpx(address: str, name: str) -> None:
    image = httpx.post(address, files={"file": (name, JPEG)}, timeout=TIMEOUT).json()
    assert image["filename"] == NAMES[name]


@pytest.mark.parametrize("name", NAMES)
def test_requests(address: str, name: str) -> None:
    requests: Any = pytest.importorskip("requests")
    image = requests.post(address, files={"file": (name, JPEG)}, timeout=TIMEOUT).json()
    assert image["filename"] == NAMES[name]


@pytest.mark.skipif(CURL is None, reason="NO CURL, so names from curl are NOT TESTED")
@pytest.mark.parametrize("options", [[], ["--form-escape"]], ids=["percent", "backslash"])
@pytest.mark.parametrize("name", [name for name in NAMES if "\n" not in name])
def test_curl(address: str, tmp_path: Path, name: str, options: list[str]) -> None:
    (tmp_path / name).write_bytes(JPEG)
    quoted = name.replace('"', '\\"')
    run = subprocess.run(  # noqa: S603 - our own arguments
        [str(CURL), "-sS", *options, "--form", f'file=@"{quoted}"', address],
        cwd=tmp_path,
        capture_output=True,
        check=True,
        timeout=TIMEOUT,
    )
    assert json.loads(run.stdout)["filename"] == NAMES[name]


OTHERS = {
    "aiohttp": b"filename=\"%E5%9B%BE%22.jpg\"; filename*=utf-8''%E5%9B%BE%22.jpg",
    "aiohttp 3.7": b'filename="%E5%9B%BE%22.jpg"',
    ".NET": b'filename="=?utf-8?B?5Zu+Ii5qcGc=?="',
    ".NET, both": b"filename=\"=?utf-8?B?5Zu+Ii5qcGc=?=\"; filename*=utf-8''%E5%9B%BE%22.jpg",
    "Safari and Firefox": 'filename="图%22.jpg"'.encode(),
}


@pytest.mark.parametrize("client", OTHERS)
def test_the_bytes_of_other_clients(client: str, address: str) -> None:
    body = form(raw_part(JPEG, b'Content-Disposition: form-data; name="file"; ' + OTHERS[client]))
    headers = {"content-type": CONTENT_TYPE}
    answer = httpx.post(address, content=body, headers=headers, timeout=TIMEOUT)
    assert answer.json()["filename"] == '图".jpg'
