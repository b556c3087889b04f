"""The page as browsers and caches receive it; `e2e/` tests what it does."""

import re
from graphlib import TopologicalSorter
from pathlib import Path
from shutil import copytree

import httpx
import pytest

from app.api import page as page_module
from app.api.page import WEB_DIR
from testkit.asgi import OpenClient
from testkit.problems import assert_problem

BUDGET = 144_000
"""Bytes of documents, stylesheets and modules together, as they leave the service (ADR 67)."""
FIRST_BUDGET = 40_000
"""Bytes of those that are loaded before the first image."""
LINES = 250
"""In a module, at most."""
FOR_EVER = "public, max-age=31536000, immutable"

MODULES = sorted(path.name for path in WEB_DIR.glob("*.js"))
MEDIA_TYPES = {
    "icon.svg": "image/svg+xml",
    "later.html": "text/html; charset=utf-8",
    **{
        path.name: "text/css; charset=utf-8"
        for path in WEB_DIR.glob("*.css")
        if path.name != "status.css"  # of the page on another listener, which has it within
    },
    **dict.fromkeys(MODULES, "text/javascript; charset=utf-8"),
}
LATER = {"uploads.js", "uploads.css", "viewer.js", "viewer.css", "delete.js", "delete.css"}
"""What is asked for when the first screen is there."""


async def asset_paths(client: httpx.AsyncClient) -> dict[str, str]:
    page = (await client.get("/")).text
    (folder,) = set(re.findall(r'(?:src|href)="(assets/[^"/]+/)[^"]+"', page))
    return {name: f"/{folder}{name}" for name in MEDIA_TYPES}


def named_in(page: str) -> set[str]:
    return set(re.findall(r'(?:src|href)="assets/[^"/]+/([^"]+)"', page))


def imports_of(module: str) -> list[str]:
    """Return the modules without which one does not run."""
    pattern = r'^(?:import|export|}).* from "\./(.+)";$|^import "\./(.+)";$'
    found = re.findall(pattern, (WEB_DIR / module).read_text(), re.MULTILINE)
    return [one or other for one, other in found]


def imported_from(module: str) -> set[str]:
    """Return a module, what it imports, what that imports, and so on."""
    found: set[str] = set()
    pending = {module}
    while pending:
        found |= pending
        pending = {name for module in pending for name in imports_of(module)} - found
    return found


async def test_the_page_leads_to_its_assets_and_to_the_docs(client: httpx.AsyncClient) -> None:
    page = await client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert '<a href="docs">' in page.text
    paths = await asset_paths(client)
    types = {name: (await client.get(path)).headers["content-type"] for name, path in paths.items()}
    assert types == MEDIA_TYPES


@pytest.mark.parametrize(("path", "start"), [("/", "main.js"), ("/delete", "delete.js")])
async def test_a_page_preloads_every_module_of_its_first_screen_that_it_does_not_start(
    client: httpx.AsyncClient, path: str, start: str
) -> None:
    page = (await client.get(path)).text
    preloaded = re.findall(r'<link rel="modulepreload" href="assets/[^"/]+/([^"]+)">', page)
    assert sorted([*preloaded, start]) == sorted(imported_from(start))
    assert re.findall(r'<script type="module" src="assets/[^"/]+/([^"]+)">', page) == [start]


async def test_the_page_leaves_to_its_modules_what_is_asked_for_later(
    client: httpx.AsyncClient,
) -> None:
    assert set(MEDIA_TYPES) >= LATER
    assert not named_in((await client.get("/")).text) & LATER


@pytest.mark.parametrize("module", MODULES)
async def test_a_module_is_served_without_comments_and_imports_from_its_own_folder(
    client: httpx.AsyncClient, module: str
) -> None:
    paths = await asset_paths(client)
    served = (await client.get(paths[module])).text.splitlines()
    source = re.sub(r"(?<=[;{,)\]]) // .*", "", (WEB_DIR / module).read_text())
    lines = [line.lstrip() for line in source.splitlines()]
    code = [line for line in lines if line and not line.startswith(("//", "/*", "*"))]
    assert [line for line in served if not line.startswith(("/*!", "*"))] == code
    for imported in imports_of(module):
        assert httpx.URL(f"http://a{paths[module]}").join(f"./{imported}").path == paths[imported]


def test_modules_do_not_import_one_another_in_circles() -> None:
    TopologicalSorter({module: imports_of(module) for module in MODULES}).prepare()


@pytest.mark.parametrize(
    "name",
    [
        "index.html",
        "delete.html",
        "nothing.js",
        "../page.py",
        "%2e%2e/page.py",
        "..%2fpage.py",
        "%2fetc%2fpasswd",
        "",
    ],
)
async def test_nothing_but_the_assets_of_the_page_is_served_beside_them(
    client: httpx.AsyncClient, name: str
) -> None:
    folder = (await asset_paths(client))["main.js"].removesuffix("main.js")
    assert_problem(await client.get(folder + name), 404, "not-found")


async def test_the_page_stays_within_its_budgets(client: httpx.AsyncClient) -> None:
    pages = [await client.get(path) for path in ("/", "/delete")]
    paths = await asset_paths(client)
    del paths["icon.svg"]
    weights = {name: len((await client.get(path)).content) for name, path in paths.items()}
    assert sum(len(page.content) for page in pages) + sum(weights.values()) < BUDGET, weights
    for page in pages:
        first = {name: weights[name] for name in weights.keys() & named_in(page.text)}
        assert len(page.content) + sum(first.values()) < FIRST_BUDGET, first


@pytest.mark.parametrize("module", MODULES)
def test_a_module_is_short(module: str) -> None:
    assert len((WEB_DIR / module).read_text().splitlines()) < LINES


@pytest.mark.parametrize("name", ["index.html", "delete.html", *MEDIA_TYPES])
def test_no_file_of_the_page_names_another_host(name: str) -> None:
    text = (WEB_DIR / name).read_text()
    namespace = "http://www.w3.org/2000/svg"  # a name, which nobody fetches
    assert not re.search(r"[a-z]+://|[\"'(]//|@import", text.replace(namespace, ""))


@pytest.mark.parametrize("name", ["index.html", "delete.html"])
def test_a_page_has_no_script_or_style_within_itself(name: str) -> None:
    text = (WEB_DIR / name).read_text()
    assert not re.search(r"<style|\sstyle=|\son[a-z]+=|javascript:|<script(?![^>]* src=)", text)


@pytest.mark.parametrize("module", MODULES)
def test_no_module_makes_html_of_text(module: str) -> None:
    text = (WEB_DIR / module).read_text()
    sinks = r"(inner|outer)HTML\s*\+?=[^=]|insertAdjacentHTML|document\.write|setHTML|eval\("
    assert not re.search(sinks, text)


@pytest.mark.parametrize("path", ["/", "/delete"])
async def test_browsers_run_and_load_only_what_the_service_serves(
    client: httpx.AsyncClient, path: str
) -> None:
    headers = (await client.get(path)).headers
    policy = dict(
        directive.split(" ", 1) for directive in headers["content-security-policy"].split("; ")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert policy.pop("img-src") == "'self' blob:"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert {"base-uri", "form-action", "frame-ancestors"} <= policy.keys()
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


async def test_the_page_is_revalidated_each_time_and_sent_if_it_changed(
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


async def test_assets_are_cached_for_ever_and_validated_each_by_its_own_content(
    client: httpx.AsyncClient,
) -> None:
    etags = []
    for path in (await asset_paths(client)).values():
        asset = await client.get(path)
        assert asset.headers["cache-control"] == FOR_EVER
        etags.append(asset.headers["etag"])
        again = await client.get(path, headers={"If-None-Match": etags[-1]})
        assert (again.status_code, again.content) == (304, b"")
    assert len(set(etags)) == len(MEDIA_TYPES)


@pytest.mark.parametrize("changed", ["page.css", "key.js", "main.js", "viewer.js", "viewer.css"])
async def test_a_change_of_one_asset_changes_the_path_of_each(
    open_client: OpenClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changed: str
) -> None:
    async with open_client() as client:
        before = await asset_paths(client)
    monkeypatch.setattr(page_module, "WEB_DIR", copytree(WEB_DIR, tmp_path / "web"))
    with (tmp_path / "web" / changed).open("a") as file:
        file.write("a{}\n")
    async with open_client() as client:
        after = await asset_paths(client)
        assert after.keys() == before.keys()
        assert not set(after.values()) & set(before.values())
        assert_problem(await client.get(before[changed]), 404, "not-found")


@pytest.mark.parametrize("missing", ["key.js", "viewer.js", "viewer.css"])
async def test_a_missing_asset_is_named_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(page_module, "WEB_DIR", copytree(WEB_DIR, tmp_path / "web"))
    (tmp_path / "web" / missing).unlink()
    with pytest.raises(FileNotFoundError, match=re.escape(missing)):
        page_module.page_router()


async def test_head_and_other_methods(client: httpx.AsyncClient) -> None:
    for path in ("/", *(await asset_paths(client)).values()):
        get, head = await client.get(path), await client.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]
        refused = await client.post(path)
        assert_problem(refused, 405, "method-not-allowed")
        assert refused.headers["allow"] == "GET, HEAD"
