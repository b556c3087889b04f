"""What pages of other sites can do in a real browser with a service that has no key.

The other site is `localhost` where the service is `127.0.0.1`: for a browser these are two.
"""

import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
import pytest_asyncio
from playwright.async_api import Page, async_playwright, expect

from testkit import samples
from testkit.live import TIMEOUT
from testkit.programs import CHROMIUM, needs_chromium
from testkit.service import IMAGES, Service, listed_names, upload

pytestmark = [pytest.mark.asyncio(loop_scope="session"), needs_chromium]

JPEG = samples.jpeg()
REBOUND = "evil.example"
"""A name that an attacker's name server resolves to this machine."""

OpenTab = Callable[..., Awaitable[Page]]


class _OtherSite(BaseHTTPRequestHandler):
    """Serves one empty page; `/isolated` embeds nothing that does not allow it."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if self.path == "/isolated":
            self.send_header("Cross-Origin-Embedder-Policy", "require-corp")
            self.send_header("Cross-Origin-Opener-Policy", "same-origin")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>Another site</title>")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def other_site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), _OtherSite) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://localhost:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest_asyncio.fixture(loop_scope="session")
async def open_tab() -> AsyncIterator[OpenTab]:
    """Open pages in a browser whose name server is the attacker's."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(
            executable_path=CHROMIUM, args=[f"--host-resolver-rules=MAP {REBOUND} 127.0.0.1"]
        )

        async def open_tab(url: str) -> Page:
            page = await browser.new_page()
            page.set_default_timeout(TIMEOUT * 1000)
            await page.goto(url)
            return page

        yield open_tab
        await browser.close()


async def test_a_form_of_another_site_stores_nothing(
    service: Service, open_tab: OpenTab, other_site: str
) -> None:
    page = await open_tab(other_site)
    async with page.expect_response(lambda response: IMAGES in response.url) as answer:
        await page.evaluate(
            """([url, bytes]) => {
              const data = new DataTransfer();
              data.items.add(new File([new Uint8Array(bytes)], "a.jpg", {type: "image/jpeg"}));
              document.body.innerHTML = `<form method="post" enctype="multipart/form-data"
                action="${url}"><input type="file" name="file"></form>`;
              document.querySelector("input").files = data.files;
              document.querySelector("form").submit();
            }""",
            [f"{service.url}{IMAGES}/upload", list(JPEG)],
        )
    assert (await answer.value).status == 403
    assert listed_names(service) == []


UPLOAD_BY_SCRIPT = """async ([url, bytes, options]) => {
  const form = new FormData();
  form.append("file", new Blob([new Uint8Array(bytes)]), "a.jpg");
  const answer = await fetch(url, {method: "POST", body: form, ...options});
  return [answer.type, answer.status];
}"""


async def test_a_script_of_another_site_stores_and_deletes_nothing(
    service: Service, open_tab: OpenTab, other_site: str
) -> None:
    image = upload(service, JPEG)
    page = await open_tab(other_site)
    sent = [f"{service.url}{IMAGES}/upload", list(JPEG), {"mode": "no-cors"}]
    assert await page.evaluate(UPLOAD_BY_SCRIPT, sent) == ["opaque", 0]
    for method in ("DELETE", "PUT", "POST"):
        assert (
            await page.evaluate(
                "([url, method]) => fetch(url, {method}).catch(error => error.name)",
                [f"{service.url}{IMAGES}/{image['id']}", method],
            )
            == "TypeError"
        )
    assert listed_names(service) == [image["filename"]]


async def test_dns_rebinding_opens_nothing(service: Service, open_tab: OpenTab) -> None:
    image = upload(service, JPEG)
    page = await open_tab(f"http://{REBOUND}:{httpx.URL(service.url).port}/")
    answer = """async ([path, method]) => {
      const answer = await fetch(path, {method});
      return [answer.status, (await answer.text()).includes("storage_key")];
    }"""
    assert await page.evaluate(answer, [IMAGES, "GET"]) == [421, False]
    assert await page.evaluate(answer, [f"{IMAGES}/{image['id']}", "GET"]) == [421, False]
    assert await page.evaluate(answer, [f"{IMAGES}/{image['id']}", "DELETE"]) == [421, False]
    sent = [f"{IMAGES}/upload", list(JPEG), {}]
    assert await page.evaluate(UPLOAD_BY_SCRIPT, sent) == ["basic", 421]
    await expect(page.get_by_text("The service does not know the address").first).to_be_visible()
    assert listed_names(service) == [image["filename"]]


SHOW = """async ([url, crossorigin]) => {
  const image = new Image();
  if (crossorigin) image.crossOrigin = "anonymous";
  image.src = url;
  await image.decode();
  const canvas = document.createElement("canvas");
  canvas.getContext("2d").drawImage(image, 0, 0);
  try { canvas.toDataURL(); return "read"; } catch { return "shown"; }
}"""


async def test_a_page_of_another_site_shows_an_image(
    service: Service, open_tab: OpenTab, other_site: str
) -> None:
    url = upload(service, JPEG)["url"]
    for path in ("/", "/isolated"):
        page = await open_tab(other_site + path)
        assert await page.evaluate("crossOriginIsolated") is (path == "/isolated")
        assert await page.evaluate(SHOW, [url, False]) == "shown"
        assert await page.evaluate(SHOW, [url, True]) == "read"
        assert await page.evaluate(SHOW, [f"{url}?download=1", True]) == "read"


FETCH = """async ([url, headers]) => {
  const answer = await fetch(url, {headers, cache: "no-store"});
  const bytes = [...new Uint8Array(await answer.arrayBuffer())];
  return [answer.status, bytes, Object.fromEntries(answer.headers)];
}"""


async def test_a_script_of_another_site_reads_a_file_its_headers_and_its_errors(
    service: Service, open_tab: OpenTab, other_site: str
) -> None:
    url = upload(service, JPEG)["url"]
    missing = f"{service.url}{IMAGES}/00000000-0000-0000-0000-000000000000/file"
    for path in ("/", "/isolated"):
        page = await open_tab(other_site + path)
        status, content, fields = await read(page, url)
        etag = fields["etag"]
        assert (status, content) == (200, JPEG)
        assert fields["content-length"] == str(len(JPEG))
        status, content, fields = await read(page, url, {"Range": "bytes=2-5"})
        assert (status, content) == (206, JPEG[2:6])
        assert fields["content-range"] == f"bytes 2-5/{len(JPEG)}"
        # These need a preflight request.
        unusual = {"Range": "bytes=2-5", "If-Range": etag, "X-Any": "1"}
        assert (await read(page, url, unusual))[:2] == (206, JPEG[2:6])
        assert (await read(page, url, {"If-None-Match": etag}))[:2] == (304, b"")
        assert (await read(page, url, {"Range": "bytes=999999-"}))[0] == 416
        assert (await read(page, missing))[0] == 404


async def read(
    page: Page, url: str, headers: dict[str, str] | None = None
) -> tuple[int, bytes, dict[str, str]]:
    status, content, fields = await page.evaluate(FETCH, [url, headers or {}])
    return status, bytes(content), fields
