"""How much memory the browser takes for a long gallery."""

import re
from pathlib import Path
from typing import Final, NamedTuple

from playwright.async_api import Browser, Page, async_playwright

from testkit.programs import CHROMIUM

_ID: Final = re.compile("/images/([0-9a-f-]{36})/")
_STEP: Final = 700
"""Pixels of a turn of the wheel."""
_PAUSE: Final = 150
"""Milliseconds between two turns, as of somebody who looks."""
_MEBIBYTE: Final = 1024 * 1024


class Memory(NamedTuple):
    """Of the renderer process, in MiB."""

    pss: float
    """Its own memory, and its share of what it shares with other processes."""
    rss: float


async def memory_after_scrolling(url: str, count: int) -> dict[str, Memory]:
    """Scroll to the end of so many images; return the most on the way, and what is there.

    Chromium keeps decoded images as long as memory is free: without them, the page's own is left.
    """
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=CHROMIUM) as browser,
    ):
        page = await browser.new_page(viewport={"width": 1440, "height": 900})
        shown: set[str] = set()
        page.on("request", lambda request: shown.update(_ID.findall(request.url)))
        await page.goto(url)
        await page.locator("#gallery a").first.wait_for()
        most = memory = await _memory(browser)
        await page.mouse.move(700, 500)
        while not await _is_at_end(page):
            await page.mouse.wheel(0, _STEP)
            await page.wait_for_timeout(_PAUSE)
            memory = await _memory(browser)
            most = Memory(*map(max, most, memory))
        await page.wait_for_load_state("networkidle")
        assert len(shown) == count, f"Only {len(shown)} images were shown."
        memory = await _memory(browser)
        session = await page.context.new_cdp_session(page)
        await session.send("Memory.simulatePressureNotification", {"level": "critical"})
        await page.wait_for_timeout(2000)
        pressed = await _memory(browser)
        return {"at most": most, "at the end": memory, "there, when memory is short": pressed}


async def _is_at_end(page: Page) -> bool:
    at_end: bool = await page.evaluate(
        """async () => {
          const bottom = () => scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
          if (!bottom()) return false;
          await new Promise((resolve) => setTimeout(resolve, 3000)); // the next page may come
          return bottom();
        }"""
    )
    return at_end


async def _memory(browser: Browser) -> Memory:
    """Return the memory of the largest renderer process: the others are Chromium's own pages."""
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    pids = [process["id"] for process in processes if process["type"] == "renderer"]
    return max(map(_read, pids))


def _read(pid: int) -> Memory:
    fields = dict(
        line.split(":") for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    )
    pss, rss = (int(fields[name].split()[0]) * 1024 / _MEBIBYTE for name in ("Pss", "Rss"))
    return Memory(pss, rss)
