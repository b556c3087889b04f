"""The service below a path of nginx, for a browser and for a client of the API."""

import json
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urljoin

import httpx
import pytest
from playwright.async_api import expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.nginx import nginx, site_of
from testkit.page import OpenPage, a_file, choose
from testkit.programs import needs_chromium, needs_nginx
from testkit.service import Service, StartService

pytestmark = needs_nginx

JPEG = samples.jpeg()
FORWARDED = """
    proxy_set_header Host $http_host;
    proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
    proxy_set_header X-Forwarded-Proto $scheme;
"""


@dataclass(frozen=True)
class Site:
    url: str
    """Of the service, with a slash at its end."""
    service: Service


@pytest.fixture(params=["forwards", "forwards nothing"])
def site(
    request: pytest.FixtureRequest, start_service: StartService, tmp_path: Path
) -> Iterator[Site]:
    """Serve below /pics/, with the fields that a proxy should send, and with none of them."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/pics/"
        forwards = request.param == "forwards"
        settings = [
            f"PUBLIC_URL={url}",
            "WORKER_PROCESSES=1",
            *(["TRUSTED_PROXIES=127.0.0.1"] if forwards else []),
        ]
        service = start_service(*settings, data_dir=tmp_path / "data").wait_until_it_serves()
        fields = FORWARDED if forwards else ""
        location = f"location /pics/ {{ proxy_pass http://image_host/; {fields} }}"
        with nginx(tmp_path, site_of(location, listener, service.url), listener):
            yield Site(url, service)
        service.stop()


@needs_chromium
@pytest.mark.asyncio(loop_scope="session")
async def test_the_documentation_is_shown_and_its_calls_work(
    site: Site, open_page: OpenPage
) -> None:
    page = await open_page(f"{site.url}docs")
    await expect(page.get_by_role("heading", name="Image host")).to_be_visible()
    await expect(
        page.get_by_text(f"curl -F file=@photo.jpg {site.url}api/v1/").first
    ).to_be_visible()
    described = page.get_by_role("link", name="a description")
    assert await described.evaluate("link => link.href") == f"{site.url}problems"

    operation = page.locator("#operations-images-upload_image")
    await operation.get_by_role("button").first.click()
    await operation.locator("input[type=file]").set_input_files([a_file("a.jpg", JPEG)])
    await operation.get_by_role("button", name="Execute").click()
    answer = operation.locator(".live-responses-table .response-col_description pre").first
    await expect(answer).to_contain_text('"storage_key"')
    image = json.loads(await answer.inner_text())
    assert image["url"].startswith(site.url)
    assert await (await page.request.get(image["url"])).body() == JPEG
    curl = await operation.locator(".curl-command").inner_text()
    assert f"{site.url}api/v1/images/upload" in curl


@needs_chromium
@pytest.mark.asyncio(loop_scope="session")
async def test_the_page_uploads_shows_and_deletes(site: Site, open_page: OpenPage) -> None:
    page = await open_page(site.url)
    await choose(page, a_file("holiday.jpg", JPEG))
    tile = page.locator('#gallery img[alt="holiday.jpg"]')
    await expect(tile).to_be_visible()
    await page.reload()  # what was just uploaded is shown from the file itself
    await page.wait_for_function("image => image.naturalWidth > 0", arg=await tile.element_handle())
    await tile.click()
    viewer = page.get_by_role("dialog", name="holiday.jpg")
    await expect(viewer).to_be_visible()
    await page.reload()
    await expect(viewer).to_be_visible()
    img = viewer.locator("img")
    await expect(img).not_to_have_js_property("naturalWidth", 0)
    assert (await img.evaluate("img => img.src")).startswith(f"{site.url}api/v1/")


def test_every_address_that_an_answer_names_leads_back_to_the_service(site: Site) -> None:
    images = f"{site.url}api/v1/images"
    with httpx.Client(timeout=TIMEOUT) as client:
        stored = [
            client.post(f"{images}/upload", files={"file": ("a.jpg", JPEG)}) for _ in range(2)
        ]
        first_page = client.get(images, params={"limit": 1})
        link = re.fullmatch(r'<(.+)>; rel="next"', first_page.headers["link"])
        assert link
        addresses = [
            *(answer.headers["location"] for answer in stored),
            *(answer.json()["url"] for answer in stored),
            link[1],
        ]
        for address in addresses:
            assert address.startswith(site.url)
            assert client.get(address).status_code == 200

        unknown = client.get(f"{site.url}nothing")
        assert unknown.json()["detail"].endswith(" /pics/docs.")
        for refused in (
            unknown,
            client.put(images),
            client.get(f"{images}?limit=0"),
            client.get(f"{stored[0].json()['url']}x"),
            client.get(stored[0].json()["url"], headers={"range": "bytes=9999999-"}),
            client.post(f"{images}/upload", files={"file": b"text"}),
        ):
            description = urljoin(str(refused.url), refused.json()["type"])
            kind = description.partition("#")[2]
            assert description == f"{site.url}problems#{kind}"
            assert f'<h2 id="{kind}">' in client.get(description).text

        openapi = f"{site.url}openapi.json"
        document = client.get(openapi).json()
        server = urljoin(openapi, document["servers"][0]["url"])
        assert client.get(f"{server}/api/v1/limits").status_code == 200
