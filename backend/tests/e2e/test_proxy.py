"""What the page says if a proxy in front answers instead of the service: words, no numbers."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.async_api import expect

from testkit import samples
from testkit.daemons import lasting_port
from testkit.nginx import nginx, site_of
from testkit.page import OpenPage, a_file, choose
from testkit.programs import needs_chromium, needs_nginx
from testkit.service import Service, listed_names, upload

pytestmark = [needs_chromium, needs_nginx, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg()
UPLOAD = "/api/v1/images/upload"
TO_SERVICE = "proxy_pass http://image_host; proxy_set_header Host $http_host;"
NO_ANSWER = "The service does not answer. Try again shortly."
ANOTHER = (
    "Another server answered in place of the service. Reload the page; you may have to sign in."
)
LOGIN = 'default_type text/html; return {status} "<!doctype html><title>Sign in</title>";'


@contextmanager
def behind_nginx(service: Service, folder: Path, locations: str = "") -> Iterator[str]:
    """Serve through nginx with its default limit of a body, with further locations."""
    every = f"client_max_body_size 1m; location / {{ {TO_SERVICE} }} {locations}"
    with (
        socket.create_server(("127.0.0.1", 0)) as listener,
        nginx(folder, site_of(every, listener, service.url), listener),
    ):
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_413_of_a_proxy_is_said_to_be_the_proxys_with_what_to_do(
    open_page: OpenPage, service: Service, tmp_path: Path
) -> None:
    with behind_nginx(service, tmp_path) as url:
        page = await open_page(url)
        await choose(page, a_file("large.jpg", samples.sized_jpeg(3_000_000)))
        sentence = "A server in front of the service takes no file this large. Send a smaller one."
        await expect(page.get_by_text(sentence)).to_be_visible()
        await expect(page.get_by_text("413")).to_have_count(0)
        await expect(page.get_by_role("button", name="Retry")).to_have_count(0)
        await choose(page, a_file("small.jpg", JPEG))
        await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["small.jpg"]


async def test_a_502_of_a_proxy_is_said_in_words_and_the_upload_can_be_retried(
    open_page: OpenPage, service: Service, tmp_path: Path
) -> None:
    location = f"location = {UPLOAD} {{ proxy_pass http://127.0.0.1:{lasting_port()}; }}"
    with behind_nginx(service, tmp_path, location) as url:
        page = await open_page(url)
        await choose(page, a_file("photo.jpg", JPEG))
        await expect(page.get_by_text(NO_ANSWER)).to_be_visible()
        await expect(page.get_by_role("button", name="Retry")).to_be_visible()


@pytest.mark.parametrize("status", [200, 401, 403, 504, 520])
async def test_an_answer_of_a_proxy_is_never_taken_for_the_services(
    open_page: OpenPage, service: Service, tmp_path: Path, status: int
) -> None:
    """Such as the page of a single sign-on, or of a content delivery network."""
    login = f"location = {UPLOAD} {{ {LOGIN.format(status=status)} }}"
    with behind_nginx(service, tmp_path, login) as url:
        page = await open_page(url)
        await choose(page, a_file("photo.jpg", JPEG))
        sentence = NO_ANSWER if status >= 500 else ANOTHER
        await expect(page.get_by_text(sentence)).to_be_visible()
        await expect(page.get_by_text(str(status))).to_have_count(0)
        await expect(page.get_by_role("dialog", name="This service needs a key")).to_have_count(0)
    assert listed_names(service) == []


@pytest.mark.parametrize("status", [200, 401, 502])
async def test_a_gallery_that_a_proxy_answers_for_says_so(
    open_page: OpenPage, service: Service, tmp_path: Path, status: int
) -> None:
    upload(service, JPEG)
    login = f"location = /api/v1/images {{ {LOGIN.format(status=status)} }}"
    with behind_nginx(service, tmp_path, login) as url:
        page = await open_page(url)
        sentence = NO_ANSWER if status >= 500 else ANOTHER
        await expect(page.get_by_role("alert").filter(has_text=sentence)).to_be_visible()
        await expect(page.get_by_role("button", name="Try again")).to_be_visible()


async def test_a_gallery_behind_a_sign_in_is_retried_automatically(
    open_page: OpenPage, service: Service, tmp_path: Path
) -> None:
    upload(service, JPEG)
    signed_in = tmp_path / "signed-in"
    location = f"""
        location = /api/v1/images {{
            default_type text/html;
            if (!-e {signed_in}) {{ return 200 "<!doctype html><title>Sign in</title>"; }}
            {TO_SERVICE}
        }}"""
    with behind_nginx(service, tmp_path, location) as url:
        page = await open_page(url)
        await expect(page.get_by_text("you may have to sign in")).to_be_visible()
        signed_in.touch()
        await expect(page.locator("#gallery img")).to_have_count(1)
