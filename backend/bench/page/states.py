"""The states of the page, each as what a person does to see it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import httpx
from playwright.async_api import Page, Route, expect

from bench.page.gallery import IMAGES
from bench.page.photographs import photographs
from testkit.format_samples import named

_PROBLEM: Final = {"content_type": "application/problem+json"}
_TILES: Final = "#gallery a"
_UPLOADED: Final = 14


@dataclass
class Stage:
    """A page that has not been opened yet, and where it may go."""

    page: Page
    gallery: str
    """Address of a service with photographs."""
    empty: str
    """Of one without any."""

    async def open(self, query: str = "") -> None:
        """Open the gallery, and wait for the thumbnails in sight."""
        await self.page.goto(f"{self.gallery}/{query}")
        await expect(self.page.locator(f"{_TILES} img").first).to_be_visible()
        await self.settle()

    async def settle(self) -> None:
        """Wait until nothing is loading or fading any more."""
        await self.page.wait_for_load_state("networkidle")
        await self.page.evaluate(
            """Promise.all(document.getAnimations()
                 .filter(({ effect }) => effect.getComputedTiming().endTime < Infinity)
                 .map(({ finished }) => finished.catch(() => null)))"""
        )

    async def images(self) -> list[dict[str, Any]]:
        """List the first images."""
        async with httpx.AsyncClient(base_url=self.gallery, trust_env=False) as client:
            items: list[dict[str, Any]] = (await client.get(f"{IMAGES}?limit=100")).json()["items"]
        return items

    async def view(self, fits: Callable[[dict[str, Any]], bool]) -> None:
        """Open the first image that fits in the viewer."""
        image = next(filter(fits, await self.images()))
        await self.open(f"#{image['id']}")
        await expect(self.page.get_by_role("dialog").locator("img").first).to_be_visible()
        await self.settle()

    async def click(self, name: str) -> None:
        """Click the button of a name, in the topmost dialog if one is open."""
        dialogs = self.page.locator("dialog[open]")
        place = dialogs.last if await dialogs.count() else self.page
        await place.get_by_role("button", name=name).first.click()

    async def upload(self, *more: Any, count: int = _UPLOADED) -> None:
        """Choose photographs, and send them."""
        files = [
            {"name": name, "mimeType": "image/jpeg", "buffer": content}
            for name, content in photographs(count)
        ]
        await self.choose([*files, *more])
        await self.click("Submit")

    async def choose(self, files: list[Any]) -> None:
        """Open the dialog, and choose files in it."""
        await self.click("Upload")
        await self.page.get_by_label("Choose file").set_input_files(files)


State = Callable[[Stage], Awaitable[None]]


def _is_landscape(image: dict[str, Any]) -> bool:
    ratio: float = image["width"] / image["height"]
    return 1.2 < ratio < 2 and image["content_type"] == "image/jpeg"


async def _empty(stage: Stage) -> None:
    await stage.page.goto(stage.empty)
    await expect(stage.page.get_by_text("No pictures yet")).to_be_visible()


async def _dropping(stage: Stage) -> None:
    await stage.open()
    await stage.page.evaluate(
        """() => {
          const dataTransfer = new DataTransfer();
          dataTransfer.items.add(new File(["x"], "x.jpg"));
          const options = { dataTransfer, bubbles: true, cancelable: true };
          document.body.dispatchEvent(new DragEvent("dragover", options));
        }"""
    )


async def _loading(stage: Stage) -> None:
    await stage.page.route("**/api/v1/images?*", lambda _: None)
    await stage.page.goto(stage.gallery)


async def _grid(stage: Stage) -> None:
    await stage.open()


async def _scrolled(stage: Stage) -> None:
    await stage.open()
    await stage.page.evaluate("scrollTo(0, 2500)")
    await stage.settle()


async def _hover(stage: Stage) -> None:
    await stage.open()
    await stage.page.locator(_TILES).nth(2).hover()
    await stage.settle()


async def _focus(stage: Stage) -> None:
    await stage.open()
    await stage.page.locator(_TILES).first.focus()
    await stage.page.keyboard.press("ArrowRight")
    await stage.settle()


async def _selection(stage: Stage) -> None:
    await _focus(stage)
    await stage.page.keyboard.press("x")
    await stage.page.keyboard.press("Shift+ArrowRight")
    await stage.page.keyboard.press("Shift+ArrowRight")
    await expect(stage.page.get_by_text("selected").first).to_be_visible()
    await stage.settle()


async def _selection_menu(stage: Stage) -> None:
    await _selection(stage)
    await stage.click("Copy links")


async def _bulk_confirmation(stage: Stage) -> None:
    await _selection(stage)
    await stage.page.keyboard.press("Delete")
    await expect(stage.page.get_by_role("button", name="Confirm")).to_be_visible()


async def _search(stage: Stage, q: str = "rhein") -> None:
    await stage.open()
    await stage.page.keyboard.press("/")
    await stage.page.keyboard.type(q)
    await stage.page.keyboard.press("Enter")
    await expect(stage.page).to_have_url(f"{stage.gallery}/?q={q}")
    await stage.settle()


async def _filters(stage: Stage) -> None:
    await _search(stage)
    await stage.page.keyboard.press("/")  # on a phone, both are behind a button
    await stage.click("Filters")


async def _unfound(stage: Stage) -> None:
    await _search(stage, "nowhere")
    await expect(stage.page.get_by_text("No picture found")).to_be_visible()


async def _keys(stage: Stage) -> None:
    await stage.open()
    await stage.page.keyboard.press("?")
    await expect(stage.page.get_by_role("dialog")).to_be_visible()


async def _chooser(stage: Stage) -> None:
    await stage.open()
    await stage.click("Upload")
    await expect(stage.page.get_by_role("dialog")).to_be_visible()


async def _chosen(stage: Stage) -> None:
    await stage.open()
    files = [
        {"name": name, "mimeType": "image/jpeg", "buffer": content}
        for name, content in photographs(9)
    ]
    await stage.choose(files)
    await stage.page.wait_for_timeout(1000)


async def _uploading(stage: Stage) -> None:
    """Four are there, the others hang."""
    passed = 0

    async def hold(route: Route) -> None:
        nonlocal passed
        passed += 1
        if passed <= 4:
            await route.continue_()

    await stage.page.route("**/upload", hold)
    await stage.page.goto(stage.empty)
    await stage.upload(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"}, count=_UPLOADED
    )
    await expect(stage.page.locator(_TILES)).to_have_count(4)
    await stage.settle()


async def _uploaded(stage: Stage) -> None:
    """All are over, and some have failed."""
    await stage.page.goto(stage.empty)
    heic = named("heic plain").content
    await stage.upload(
        {"name": "notes.txt", "mimeType": "text/plain", "buffer": b"no image"},
        {"name": "IMG_0001.HEIC", "mimeType": "image/heic", "buffer": heic},
        count=6,
    )
    await expect(stage.page.get_by_text("Invalid file type").first).to_be_visible()
    await expect(stage.page.locator(_TILES)).to_have_count(6)
    await stage.settle()


async def _unshown(stage: Stage) -> None:
    """Open a HEIC file, which Chromium cannot show."""
    async with httpx.AsyncClient(base_url=stage.empty, trust_env=False) as client:
        heic = named("heic plain").content
        file = {"file": ("IMG_0001.HEIC", heic)}
        image = (await client.post(f"{IMAGES}/upload", files=file)).json()
    await stage.page.goto(f"{stage.empty}/#{image['id']}")
    await expect(stage.page.get_by_text("Your browser cannot show").first).to_be_visible()


async def _viewer(stage: Stage) -> None:
    await stage.view(_is_landscape)


async def _portrait(stage: Stage) -> None:
    await stage.view(lambda image: image["height"] > 1.6 * image["width"])


async def _panorama(stage: Stage) -> None:
    await stage.view(lambda image: image["width"] > 2 * image["height"])


async def _transparent(stage: Stage) -> None:
    await stage.view(lambda image: image["content_type"] == "image/png")


async def _details(stage: Stage) -> None:
    await _viewer(stage)
    await stage.click("Details")  # which narrow screens hide at first, and wide ones show
    await stage.settle()


async def _rename(stage: Stage) -> None:
    await _viewer(stage)
    if not await stage.page.get_by_role("region", name="Details").is_visible():
        await stage.click("Details")
    await stage.page.get_by_label("Name", exact=True).fill("A new name for it.jpg")
    await stage.settle()


async def _menu(stage: Stage) -> None:
    await _viewer(stage)
    await stage.click("Copy")


async def _zoomed(stage: Stage) -> None:
    await _viewer(stage)
    for _ in range(4):
        await stage.page.keyboard.press("+")
    await stage.settle()


async def _confirmation(stage: Stage) -> None:
    await _viewer(stage)
    await stage.click("Delete")
    await expect(stage.page.get_by_role("button", name="Confirm")).to_be_visible()


async def _copied(stage: Stage) -> None:
    await _menu(stage)
    await stage.page.get_by_role("menuitem").first.click()


async def _notice(stage: Stage) -> None:
    await stage.page.goto(f"{stage.gallery}/#00000000-0000-4000-8000-000000000000")
    await expect(stage.page.get_by_role("dialog")).to_be_visible()
    await stage.settle()


async def _failure(stage: Stage) -> None:
    detail = {"detail": "The service met an unexpected error.", "type": "about:blank"}
    await stage.page.route(
        "**/api/v1/images?*", lambda route: route.fulfill(status=500, json=detail, **_PROBLEM)
    )
    await stage.page.goto(stage.gallery)
    await expect(stage.page.get_by_role("alert").first).to_be_visible()


async def _unconnected(stage: Stage) -> None:
    await stage.page.route("**/api/v1/images?*", lambda route: route.abort())
    await stage.page.goto(stage.gallery)
    await expect(stage.page.get_by_role("alert").first).to_be_visible()


async def _key(stage: Stage) -> None:
    detail = {"detail": "An API key is needed.", "type": "/problems#unauthorized"}
    await stage.page.route(
        "**/api/v1/images?*", lambda route: route.fulfill(status=401, json=detail, **_PROBLEM)
    )
    await stage.page.goto(stage.gallery)
    await expect(stage.page.get_by_label("API key")).to_be_visible()


async def _own_key(stage: Stage) -> None:
    await stage.open()
    await stage.click("Use a key")
    await stage.settle()


async def _own_key_used(stage: Stage) -> None:
    """Use a key, which does not reach the service, so that it need not know it."""
    await stage.page.add_init_script("sessionStorage.apiKey = 'mine'")
    await stage.page.route(
        "**/api/v1/**",
        lambda route: route.continue_(headers={**route.request.headers, "authorization": ""}),
    )
    await stage.open()
    await stage.click("Your key")
    await stage.settle()


async def _upload_some(stage: Stage) -> list[dict[str, Any]]:
    """Upload photographs, every second one as private."""
    uploaded = []
    async with httpx.AsyncClient(base_url=stage.empty, trust_env=False) as client:
        for place, (name, content) in enumerate(photographs(6)):
            options = {"is_public": str(place % 2 == 0)}
            answer = await client.post(
                f"{IMAGES}/upload", data=options, files={"file": (name, content)}
            )
            uploaded.append(answer.json())
    return uploaded


async def _private(stage: Stage) -> None:
    await _upload_some(stage)
    await stage.page.goto(stage.empty)
    await expect(stage.page.get_by_role("img", name="Private")).to_have_count(3)
    await stage.settle()


async def _viewer_private(stage: Stage) -> None:
    image = (await _upload_some(stage))[-1]
    await stage.page.goto(f"{stage.empty}/#{image['id']}")
    await expect(stage.page.get_by_role("dialog").locator("img").first).to_be_visible()
    if not await stage.page.get_by_role("region", name="Details").is_visible():
        await stage.click("Details")
    await stage.settle()


async def _viewer_private_menu(stage: Stage) -> None:
    await _viewer_private(stage)
    await stage.click("Copy")


async def _delete(stage: Stage) -> None:
    image = (await _upload_some(stage))[0]
    await stage.page.goto(image["delete_url"])
    await expect(stage.page.locator("#picture img")).to_be_visible()


async def _deleted(stage: Stage) -> None:
    await _delete(stage)
    await stage.click("Delete it")
    await expect(stage.page.get_by_role("heading", name="Picture deleted")).to_be_visible()


STATES: Final[dict[str, State]] = {
    "empty": _empty,
    "loading": _loading,
    "grid": _grid,
    "grid-scrolled": _scrolled,
    "grid-hover": _hover,
    "grid-focus": _focus,
    "dropping": _dropping,
    "selection": _selection,
    "selection-menu": _selection_menu,
    "selection-confirmation": _bulk_confirmation,
    "search": _search,
    "search-filters": _filters,
    "search-nothing": _unfound,
    "keys": _keys,
    "chooser": _chooser,
    "chooser-chosen": _chosen,
    "uploading": _uploading,
    "uploaded": _uploaded,
    "viewer": _viewer,
    "viewer-portrait": _portrait,
    "viewer-panorama": _panorama,
    "viewer-transparent": _transparent,
    "viewer-details": _details,
    "viewer-rename": _rename,
    "viewer-menu": _menu,
    "viewer-copied": _copied,
    "viewer-zoomed": _zoomed,
    "viewer-unshown": _unshown,
    "viewer-confirmation": _confirmation,
    "notice": _notice,
    "failure": _failure,
    "unconnected": _unconnected,
    "key": _key,
    "own-key": _own_key,
    "own-key-used": _own_key_used,
    "private": _private,
    "viewer-private": _viewer_private,
    "viewer-private-menu": _viewer_private_menu,
    "delete": _delete,
    "deleted": _deleted,
}
