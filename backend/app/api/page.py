"""The pages that people see, with their stylesheets, modules and icon (ADR 0018)."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.status import HTTP_304_NOT_MODIFIED

from app.api.conditional import is_current
from app.api.observed import ROUTE

WEB_DIR: Final = Path(__file__).parents[1] / "web"
PAGE_PATH: Final = "/"
DELETE_PATH: Final = "/delete"
"""Of the page that asks whether to delete an image, and does by the token behind its `#`."""
_ASSETS: Final = "/assets"
_DOCUMENTS: Final = {PAGE_PATH: "index.html", DELETE_PATH: "delete.html"}
_MEDIA_TYPES: Final = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
}
_REFERENCE: Final = re.compile(r'"(?:\./)?([a-z-]+\.(?:css|html|js|svg))"')
"""How the page names an asset, and a module another: within the folder only."""
_FIRST: Final = re.compile(r'(?:href=|src=|from |import )"(?:\./)?([a-z-]+\.(?:css|html|js|svg))"')
"""How they name one that is loaded with them, and not when it is asked for, by `import("…")`."""
_FOR_READERS: Final = re.compile(
    r"^[ ]*(?:/\*(?!!)(?:(?!\*/).)*\*/|//[^\n]*|<!--(?:(?!-->).)*-->)?[ ]*\n|^[ ]+"
    r"|(?<=[;{,)\]])[ ]//[ ][^\n]*",
    re.MULTILINE | re.DOTALL,
)
"""All comments, empty lines, indentation; not a comment that begins with `/*!`, a licence."""
_FOR_EVER: Final = "public, max-age=31536000, immutable"
_LEASE_FOR_EVER: Final = {"X-Accel-Expires": "31536000"}
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob:%s; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only what this service itself serves may run or load, and no text becomes HTML or a script.

`blob:` shows a file that the page itself uploads. Images may come from the store, where the service
sends browsers there.
"""


@dataclass(frozen=True)
class WebFile:
    """A file of the page, kept in memory."""

    content: bytes
    media_type: str
    cache_control: str
    policy: str
    route: str
    """What it is called where requests are counted: an asset's own path changes."""
    lease: Mapping[str, str] = field(default_factory=dict)
    """The header field for a proxy in front, if it may serve this by itself."""

    @cached_property
    def etag(self) -> str:
        """Return a strong validator (RFC 9110, section 8.8.3)."""
        return f'"{sha256(self.content).hexdigest()[:16]}"'

    async def answer(self, request: Request) -> Response:
        """Return the file, or 304 if the client's copy is current."""
        request.scope[ROUTE] = self.route
        headers = {
            "ETag": self.etag,
            "Cache-Control": self.cache_control,
            "Content-Security-Policy": self.policy,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
            **self.lease,
        }
        if is_current(request.headers, self.etag):
            return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def page_router(*, has_front: bool = False, store: str = "") -> APIRouter:
    """Read the pages and their assets, and return a router with a path for each.

    What only readers of the source need is left out, a quarter of the text (ADR 0047). An asset's
    path contains a version made of all of them, so they are cached for ever and yet replaced
    together, and modules import one another by relative paths, without a build. A page preloads
    every module of its first screen, so that none waits until another that imports it has been
    loaded; the others are loaded when they are asked for.

    Args:
        has_front: Whether nginx is in front, which then asks once for each asset.
        store: The origin that browsers are sent to for files; empty = they are sent from here.
    """
    lease = _LEASE_FOR_EVER if has_front else {}
    policy = _POLICY % (f" {store}" if store else "")
    documents = {path: _read(name) for path, name in _DOCUMENTS.items()}
    assets = _read_assets(documents.values(), _REFERENCE)
    version = sha256("".join(assets.values()).encode()).hexdigest()[:12]
    folder = f"{_ASSETS.removeprefix('/')}/{version}/"
    files: dict[str, WebFile] = {}
    for name, text in assets.items():
        media_type = _MEDIA_TYPES[Path(name).suffix]
        files[f"/{folder}{name}"] = WebFile(
            text.encode(), media_type, _FOR_EVER, policy, _ASSETS, lease
        )
    for path, text in documents.items():
        page = _addressed(text, folder)
        files[path] = WebFile(page.encode(), "text/html", "no-cache", policy, path)

    router = APIRouter(include_in_schema=False)
    for path, file in files.items():
        router.add_route(path, file.answer, methods=["GET", "HEAD"])
    return router


def _addressed(page: str, folder: str) -> str:
    """Return a page that names its assets in a folder, and preloads those of its first screen."""
    preloads = ""
    for name in _read_assets([page], _FIRST):
        if f'"{name}"' in page:
            page = page.replace(f'"{name}"', f'"{folder}{name}"')
        else:
            preloads += f'<link rel="modulepreload" href="{folder}{name}">\n'
    return page.replace("</head>", f"{preloads}</head>")


def _read_assets(pages: Iterable[str], reference: re.Pattern[str]) -> dict[str, str]:
    """Return the text of each file that the pages refer to, or a file that they refer to.

    Raises:
        FileNotFoundError: If one of them is missing.
    """
    assets: dict[str, str] = {}
    pending = [*pages]
    while pending:
        for name in reference.findall(pending.pop()):
            if name not in assets:
                assets[name] = _read(name)
                pending.append(assets[name])
    return assets


def _read(name: str) -> str:
    return _FOR_READERS.sub("", (WEB_DIR / name).read_text("utf-8"))
