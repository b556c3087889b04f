"""The page as a browser and a cache are given it; `e2e/` tells what it does."""

import re
from hashlib import sha256

import httpx
import pytest

from app.api.page import WEB_DIR
from testkit.problems import assert_problem

BUDGET = 45_000
"""Bytes of document, stylesheet and modules together, as they leave the service."""
FOR_EVER = "public, max-age=31536000, immutable"


async def asset_paths(client: httpx.AsyncClient) -> dict[str, str]:
    page = (await client.get("/")).text
    found: list[str] = re.findall(r'(?:src|href)="(assets/[^"]+)"', page)
    return {path.rpartition("/")[2]: f"/{path}" for path in found}


async def test_the_page_leads_to_its_assets_and_to_the_docs(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<a href="docs">' in page.text
    types = {
        name: (await client.get(path)).headers["content-type"]
        for name, path in (await asset_paths(client)).items()
    }
    assert types == {
        "page.css": "text/css; charset=utf-8",
        "dropped.js": "text/javascript; charset=utf-8",
        "page.js": "text/javascript; charset=utf-8",
        "icon.svg": "image/svg+xml",
    }


async def test_a_module_imports_another_by_the_address_of_its_content(
    client: httpx.AsyncClient,
) -> None:
    paths = await asset_paths(client)
    imports = re.findall(
        r'^import .* from "(.+)";$', (await client.get(paths["page.js"])).text, re.MULTILINE
    )
    assert [httpx.URL(f"http://a/pics{paths['page.js']}").join(found) for found in imports] == [
        f"http://a/pics{paths['dropped.js']}"
    ]


async def test_the_page_stays_within_its_budget(client: httpx.AsyncClient) -> None:
    paths = await asset_paths(client)
    del paths["icon.svg"]
    weights = [len((await client.get(path)).content) for path in ("/", *paths.values())]
    assert sum(weights) < BUDGET, weights


@pytest.mark.parametrize("name", ["index.html", "page.css", "page.js", "dropped.js", "icon.svg"])
def test_no_file_of_the_page_names_another_host(name: str) -> None:
    text = (WEB_DIR / name).read_text()
    namespace = "http://www.w3.org/2000/svg"  # a name, which nobody fetches
    assert not re.search(r"[a-z]+://|[\"'(]//|@import", text.replace(namespace, ""))


def test_the_page_has_no_script_or_style_within_itself() -> None:
    text = (WEB_DIR / "index.html").read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]* src=)", text)


@pytest.mark.parametrize("name", ["page.js", "dropped.js"])
def test_no_module_makes_html_of_text(name: str) -> None:
    text = (WEB_DIR / name).read_text()
    sinks = r"(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|setHTML|eval\("
    assert not re.search(sinks, text)


async def test_browsers_run_and_load_only_what_the_service_serves(
    client: httpx.AsyncClient,
) -> None:
    headers = (await client.get("/")).headers
    policy = dict(
        directive.split(" ", 1) for directive in headers["content-security-policy"].split("; ")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert {"base-uri", "form-action", "frame-ancestors"} <= policy.keys()
    assert headers["x-content-type-options"] == "nosniff"


async def test_the_page_is_asked_for_each_time_and_sent_when_it_changed(
    client: httpx.AsyncClient,
) -> None:
    page = await client.get("/")
    assert page.headers["cache-control"] == "no-cache"
    etag = page.headers["etag"]
    again = await client.get("/", headers={"If-None-Match": f'"other", W/{etag}'})
    assert (again.status_code, again.content) == (304, b"")
    assert again.headers["etag"] == etag
    changed = await client.get("/", headers={"If-None-Match": '"other"'})
    assert changed.content == page.content


async def test_an_assets_address_names_its_content_and_is_kept_for_ever(
    client: httpx.AsyncClient,
) -> None:
    for path in (await asset_paths(client)).values():
        asset = await client.get(path)
        assert asset.headers["cache-control"] == FOR_EVER
        digest = path.split("/")[2]
        assert sha256(asset.content).hexdigest().startswith(digest)
        assert asset.headers["etag"] == f'"{digest}"'
        stale = path.replace(digest, "0" * len(digest))
        assert_problem(await client.get(stale), 404, "not-found")


async def test_head_and_other_methods(client: httpx.AsyncClient) -> None:
    for path in ("/", *(await asset_paths(client)).values()):
        get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        refused = await client.post(path)
        assert_problem(refused, 405, "method-not-allowed")
        assert refused.headers["allow"] == "GET, HEAD"
