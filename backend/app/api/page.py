"""The page that people see at `/`, with its stylesheet, its modules and its icon (ADR 0018)."""

from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from pathlib import Path
from typing import Final

from fastapi import APIRouter, Request, Response
from starlette.status import HTTP_304_NOT_MODIFIED

from app.api.conditional import is_current

WEB_DIR: Final = Path(__file__).parents[1] / "web"
PAGE_PATH: Final = "/"
_ASSETS: Final = {
    "page.css": "text/css; charset=utf-8",
    "icon.svg": "image/svg+xml",
    "dropped.js": "text/javascript; charset=utf-8",
    "page.js": "text/javascript; charset=utf-8",
}
"""The page's files and their media types; a module comes after those that it imports."""
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "require-trusted-types-for 'script'; trusted-types 'none'"
)
"""Only what this service itself serves may run or load, and no text becomes HTML or a script."""


@dataclass(frozen=True)
class WebFile:
    """A file of the page, kept in memory."""

    content: bytes
    media_type: str
    cache_control: str

    @cached_property
    def digest(self) -> str:
        """What changes whenever the content does."""
        return sha256(self.content).hexdigest()[:16]

    async def answer(self, request: Request) -> Response:
        """Send it, or say that the client's copy is still good."""
        etag = f'"{self.digest}"'
        headers = {
            "ETag": etag,
            "Cache-Control": self.cache_control,
            "Content-Security-Policy": _POLICY,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if is_current(request.headers, etag):
            return Response(status_code=HTTP_304_NOT_MODIFIED, headers=headers)
        return Response(self.content, headers=headers, media_type=self.media_type)


def page_router() -> APIRouter:
    """Read the page's files, and route to each; an asset's address names its content.

    So an asset can be cached for ever, and a new one is found at once, without a build.
    """
    page = (WEB_DIR / "index.html").read_text("utf-8")
    files: dict[str, WebFile] = {}
    addresses: dict[str, str] = {}
    for name, media_type in _ASSETS.items():
        content = (WEB_DIR / name).read_text("utf-8")
        for imported, address in addresses.items():
            content = content.replace(f'"./{imported}"', f'"../../{address}"')
        asset = WebFile(content.encode(), media_type, "public, max-age=31536000, immutable")
        addresses[name] = f"assets/{asset.digest}/{name}"
        files[f"/{addresses[name]}"] = asset
        page = page.replace(f'"{name}"', f'"{addresses[name]}"')
    files[PAGE_PATH] = WebFile(page.encode(), "text/html; charset=utf-8", "no-cache")

    router = APIRouter(include_in_schema=False)
    for path, file in files.items():
        router.add_route(path, file.answer, methods=["GET", "HEAD"])
    return router
