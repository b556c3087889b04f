"""The page in a browser, as a person uses it."""

from collections.abc import Awaitable, Callable
from typing import Any

from playwright.async_api import JSHandle, Locator, Page, expect

from testkit.service import RENDERED_SECONDS

KEY = "correct-horse"
CHOICE = "Remove camera and location data"
"""The label of the checkbox in the dialog that chooses files."""
RENDERED_MS = 1000 * RENDERED_SECONDS
OPTIONS = {"locale": "en-GB", "timezone_id": "Asia/Kolkata", "reduced_motion": "reduce"}

OpenPage = Callable[..., Awaitable[Page]]


def a_file(name: str, content: bytes) -> Any:
    """Describe a file as Playwright hands it to the page."""
    return {"name": name, "mimeType": "application/octet-stream", "buffer": content}


async def all_loaded(page: Page) -> None:
    """Wait until the page has all its modules, those that the first screen does without too."""
    await page.evaluate(
        "import(document.querySelector('script[type=module]').src).then(() => null)"
    )


async def wait_for_previews(page: Page) -> None:
    """Let the page wait for a preview for as long as it takes, instead of 2 s (dialog: 5)."""
    await page.evaluate(
        """() => {
          const wait = window.setTimeout;
          const longer = (delay) => ([2_000, 5_000].includes(delay) ? 1e6 : delay);
          window.setTimeout = (act, delay, ...given) => wait(act, longer(delay), ...given);
        }"""
    )


async def a_transfer(page: Page, name: str, content: bytes) -> JSHandle:
    """Make what a drop or a paste of a file brings."""
    return await page.evaluate_handle(
        """([name, bytes]) => {
          const transfer = new DataTransfer();
          transfer.items.add(new File([new Uint8Array(bytes)], name));
          return transfer;
        }""",
        [name, list(content)],
    )


async def choose(page: Page, *files: Any, strips: bool = True) -> None:
    """Choose files, by the words that a person reads."""
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label("Choose file").set_input_files(list(files))
    if not strips:
        await page.get_by_label(CHOICE).uncheck()
    await page.get_by_role("button", name="Submit").click()


def row_of(page: Page, name: str) -> Locator:
    """Return the row of a file in the list of uploads."""
    uploads = page.get_by_role("region", name="Uploads")
    return uploads.get_by_role("listitem").filter(has_text=name)


async def shown(page: Page) -> list[str]:
    """Return the names of the images in the gallery, as they are shown."""
    names: list[str] = await page.locator("#gallery img").evaluate_all(
        "images => images.map(image => image.alt)"
    )
    return names


async def shown_address(img: Locator, within: float | None = None) -> str:
    """Return the last part of the address whose image is shown, within milliseconds."""
    await expect(img).to_have_class("", timeout=within)
    await expect(img).not_to_have_js_property("naturalWidth", 0, timeout=within)
    address: str = await img.evaluate("img => img.currentSrc")
    return address.rpartition("/")[2]
