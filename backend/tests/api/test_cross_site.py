"""What pages of other sites may do: show and read files; where no key protects, nothing else.

`e2e/test_other_sites.py` lets a browser try.
"""

from ipaddress import ip_network
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from testkit import samples
from testkit.asgi import OpenClient, Upload
from testkit.problems import assert_problem

IMAGES = "/api/v1/images"
UPLOAD = f"{IMAGES}/upload"
NO_IMAGE = f"{IMAGES}/00000000-0000-0000-0000-000000000000"
JPEG = samples.jpeg()
PUBLIC = "https://images.example.org/pics"
ANY_SITE = {
    "access-control-allow-origin": "*",
    "cross-origin-resource-policy": "cross-origin",
}

Fields = dict[str, str]


async def status(client: httpx.AsyncClient, method: str, path: str, headers: Fields) -> int:
    files = {"file": JPEG} if path == UPLOAD else None
    response = await client.request(method, path, headers=headers, files=files)
    kind = {403: "cross-site-request", 421: "unknown-host"}.get(response.status_code)
    if kind and method != "HEAD":
        problem = response.json()
        assert problem["type"].endswith(f"/problems#{kind}")
        assert "set PUBLIC_URL" in problem["detail"]
    return response.status_code


FOREIGN_PAGES: list[Fields] = [
    {"sec-fetch-site": "cross-site"},
    {"sec-fetch-site": "same-site"},
    {"sec-fetch-site": "something-new"},
    {"sec-fetch-site": "cross-site", "origin": "http://images.localhost"},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "http://images.localhost:8001"},
    {"origin": "http://evil.images.localhost"},
    {"origin": "http://images.localhost.evil.example"},
    {"origin": "http://images.localhost@evil.example"},
    {"origin": "https://images.localhost:80"},
    {"origin": "ftp://images.localhost"},
    {"origin": "images.localhost"},
    {"origin": "http://[::1"},
    {"origin": "http://images.localhost:none"},
    {"host": "localhost:8000", "origin": "http://127.0.0.1:8000"},
    {"host": "localhost:8000", "origin": "http://localhost:3000"},
]
OWN_PAGES: list[Fields] = [
    {"sec-fetch-site": "same-origin"},
    {"sec-fetch-site": "same-origin", "origin": "http://images.localhost"},
    # A proxy may change Host; what the browser says of the page still holds.
    {"sec-fetch-site": "same-origin", "origin": "https://images.example.org"},
    {"sec-fetch-site": "none"},
    {"origin": "http://images.localhost"},
    {"origin": "http://IMAGES.localhost:80"},
    {"origin": "https://images.localhost"},
    {"host": "images.localhost:443", "origin": "https://images.localhost"},
    {"host": "LOCALHOST:8000", "origin": "http://localhost:8000"},
    {"host": "[::1]:8000", "origin": "http://[::1]:8000"},
]
PROGRAMS: list[Fields] = [{}, {"referer": "https://evil.example/"}, {"user-agent": "curl/8"}]


@pytest.mark.parametrize("page", FOREIGN_PAGES)
async def test_a_page_of_another_site_can_change_nothing(
    client: httpx.AsyncClient, upload: Upload, page: Fields
) -> None:
    image = await upload(JPEG)
    assert await status(client, "POST", UPLOAD, page) == 403
    assert await status(client, "POST", f"{IMAGES}/batch", page) == 403
    for method in ("DELETE", "PATCH"):
        assert await status(client, method, f"{IMAGES}/{image['id']}", page) == 403
    assert await status(client, "POST", f"{IMAGES}/batch-delete", page) == 403
    assert (await client.get(IMAGES)).json()["items"] == [image]


@pytest.mark.parametrize("sender", [*OWN_PAGES, *PROGRAMS])
async def test_the_services_own_pages_and_programs_can(
    client: httpx.AsyncClient, sender: Fields
) -> None:
    assert await status(client, "POST", UPLOAD, sender) == 201
    assert await status(client, "DELETE", NO_IMAGE, sender) == 404


@pytest.mark.parametrize("page", FOREIGN_PAGES[:6])
async def test_a_link_from_another_site_can_be_followed(
    client: httpx.AsyncClient, page: Fields
) -> None:
    for path in ("/", "/docs", "/problems", IMAGES, "/api/v1/limits", "/health/ready"):
        assert await status(client, "GET", path, page) == 200


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("https://images.example.org", 201),
        ("https://images.example.org:443", 201),
        ("http://images.example.org", 403),
        ("https://images.example.org:8443", 403),
        ("https://example.org", 403),
        ("null", 403),
    ],
)
async def test_a_page_at_the_public_url_is_the_services_own_whatever_host_a_proxy_sends(
    open_client: OpenClient, origin: str, expected: int
) -> None:
    async with open_client(public_url=PUBLIC) as client:
        page = {"host": "127.0.0.1:8000", "origin": origin}
        assert await status(client, "POST", UPLOAD, page) == expected


OWN_NAMES = [
    "localhost",
    "localhost:8000",
    "LocalHost.:8000",
    "images.localhost",
    "a.b.localhost:80",
    "127.0.0.1",
    "127.0.0.1:8000",
    "192.168.1.5:8000",
    "[::1]",
    "[::1]:8000",
    "[::ffff:127.0.0.1]:8000",
    "",
]
FOREIGN_NAMES = [
    "evil.example",
    "evil.example:8000",
    "evil_underscore.example",
    "localhost.evil.example",
    "evillocalhost",
    "127.0.0.1.evil.example",
    "127.0.0.1.nip.io:8000",
    "images.example.org",
    "localhost:8000.evil.example",
    "[evil.example]",
    "[]",
    ":80",
    "evil.example:",
    "a b",
    "xn--bcher-kva.example",
]


@pytest.mark.parametrize("host", FOREIGN_NAMES)
async def test_a_name_that_leads_here_by_dns_rebinding_opens_nothing(
    client: httpx.AsyncClient, upload: Upload, host: str
) -> None:
    image = await upload(JPEG)
    page = {"host": host, "origin": f"http://{host}", "sec-fetch-site": "same-origin"}
    assert await status(client, "POST", UPLOAD, page) == 421
    assert await status(client, "DELETE", f"{IMAGES}/{image['id']}", page) == 421
    for path in (IMAGES, f"{IMAGES}/{image['id']}", "/api/v1/limits"):
        assert await status(client, "GET", path, page) == 421
        assert await status(client, "HEAD", path, page) == 421
    for path in (f"{IMAGES}/{image['id']}/file", "/health/live", "/health/ready"):
        assert await status(client, "GET", path, page) == 200
    assert await status(client, "GET", f"{IMAGES}/{image['id']}/file?download=1", page) == 200


@pytest.mark.parametrize("host", OWN_NAMES)
async def test_names_that_can_only_lead_here_are_known(
    client: httpx.AsyncClient, host: str
) -> None:
    assert await status(client, "GET", IMAGES, {"host": host}) == 200
    assert await status(client, "POST", UPLOAD, {"host": host}) == 201


@pytest.mark.parametrize(
    ("changes", "host", "expected"),
    [
        ({"public_url": PUBLIC}, "images.example.org", 200),
        ({"public_url": PUBLIC}, "Images.Example.org.:8000", 200),
        ({"public_url": PUBLIC}, "other.example.org", 421),
        ({"public_url": PUBLIC}, "localhost:8000", 200),
        ({"public_url": PUBLIC}, "image_host", 200),
        ({}, "image_host", 421),
        ({"trusted_proxies": (ip_network("127.0.0.1"),)}, "any.example", 200),
        ({"host": "0.0.0.0"}, "nas.lan:8000", 200),
        ({"host": "::"}, "nas.lan:8000", 200),
        ({"host": "192.168.1.5"}, "nas.lan:8000", 200),
        ({"host": "localhost"}, "nas.lan:8000", 421),
        ({"host": "::1"}, "nas.lan:8000", 421),
        ({"host": "127.8.8.8"}, "nas.lan:8000", 421),
    ],
)
async def test_behind_a_proxy_and_open_to_the_network_other_names_are_believed(
    open_client: OpenClient, changes: dict[str, Any], host: str, expected: int
) -> None:
    async with open_client(**changes) as client:
        assert await status(client, "GET", IMAGES, {"host": host}) == expected


async def test_where_a_key_protects_nothing_else_is_asked(open_client: OpenClient) -> None:
    """No browser sends the key by itself, and no page of another site knows it."""
    page = {
        "host": "any.example",
        "origin": "https://other.example",
        "sec-fetch-site": "cross-site",
    }
    key = {"authorization": "Bearer correct-horse"}
    async with open_client(api_key=SecretStr("correct-horse")) as client:
        assert await status(client, "POST", UPLOAD, page) == 401
        assert await status(client, "POST", UPLOAD, page | key) == 201


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("path", "headers", "expected"),
    [
        ("", {}, 200),
        ("?download=1", {}, 200),
        ("", {"range": "bytes=0-3"}, 206),
        ("", {"if-none-match": "*"}, 304),
        ("?download=1", {"if-none-match": "*"}, 304),
        ("", {"if-match": '"other"'}, 412),
        ("", {"range": "bytes=99999999-"}, 416),
        ("?download=perhaps", {}, 422),
        ("/", {}, 307),
        ("/?download=1", {}, 307),
    ],
)
async def test_files_can_be_shown_and_read_by_pages_of_any_site(  # noqa: PLR0913, PLR0917
    client: httpx.AsyncClient,
    upload: Upload,
    method: str,
    path: str,
    headers: Fields,
    expected: int,
) -> None:
    image = await upload(JPEG)
    page = headers | {"origin": "https://other.example", "sec-fetch-site": "cross-site"}
    response = await client.request(method, image["url"] + path, headers=page)
    if method == "GET" or "range" not in headers:
        assert response.status_code == expected
    assert ANY_SITE.items() <= dict(response.headers).items()
    exposed = response.headers["access-control-expose-headers"].lower().split(", ")
    assert {"etag", "content-length", "content-range", "repr-digest"} <= set(exposed)
    assert response.headers.get_list("access-control-allow-origin") == ["*"]


async def test_a_page_sees_that_a_file_is_not_there(client: httpx.AsyncClient) -> None:
    for path in (f"{NO_IMAGE}/file", f"{NO_IMAGE}/file?download=1"):
        response = await client.get(path, headers={"origin": "https://other.example"})
        assert_problem(response, 404, "image-not-found")
        assert ANY_SITE.items() <= dict(response.headers).items()


@pytest.mark.parametrize("wanted", ["", "if-none-match", "if-none-match,range", "x-any"])
async def test_a_page_may_send_any_field_with_a_request_for_a_file(
    client: httpx.AsyncClient, upload: Upload, wanted: str
) -> None:
    image = await upload(JPEG)
    asked = {"origin": "https://other.example", "access-control-request-method": "GET"}
    if wanted:
        asked["access-control-request-headers"] = wanted
    for url in (image["url"], f"{image['url']}?download=1"):
        response = await client.options(url, headers=asked)
        assert (response.status_code, response.content) == (204, b"")
        assert response.headers["access-control-allow-origin"] == "*"
        assert response.headers["access-control-allow-methods"] == "GET, HEAD"
        assert response.headers.get("access-control-allow-headers", "") == wanted


async def test_nothing_but_files_is_for_pages_of_other_sites(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    image = await upload(JPEG)
    asked = {"origin": "https://other.example", "access-control-request-method": "DELETE"}
    of_images = (IMAGES, f"{IMAGES}/{image['id']}", UPLOAD, f"{IMAGES}/batch-delete")
    for path in ("/", "/docs", *of_images, "/api/v1/limits"):
        for response in (
            await client.get(path, headers=asked),
            await client.options(path, headers=asked),
        ):
            assert not [name for name in response.headers if name.startswith("access-control")]
            assert "cross-origin-resource-policy" not in response.headers
    plain = await client.options(image["url"])
    assert_problem(plain, 405, "method-not-allowed")
