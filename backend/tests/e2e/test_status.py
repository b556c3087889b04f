"""The status page in a browser: for everybody, in light and dark, on a phone too."""

from typing import Literal

import httpx
import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Page, expect

from app.api.status_page import render_status
from app.services.troubles import find_troubles
from app.services.watch import Status
from testkit.daemons import lasting_port
from testkit.live import TIMEOUT, wait_until
from testkit.page import OpenPage
from testkit.programs import needs_chromium
from testkit.service import StartService
from testkit.statuses import NOW, SETTINGS, TROUBLED, WELL, after_ends, with_figures

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PHONE = {"width": 320, "height": 568}
UNKNOWN = with_figures(database=None, storage=None, cache=None, queue=None, stored=None, space=None)
STATES = [WELL, UNKNOWN, after_ends(9), *(status for status, _, _ in TROUBLED.values())]


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def address(start_service: StartService, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Start a service; return where its status is, once it is known."""
    address = f"127.0.0.1:{lasting_port()}"
    data_dir = tmp_path_factory.mktemp("status") / "data"
    start_service(f"METRICS_ADDRESS={address}", data_dir=data_dir).wait_until_it_serves()
    url = f"http://{address}/status"
    # A busy machine takes longer than anybody waits, and the page does not ask again.
    wait_until(lambda: "Not known yet" not in httpx.get(url, timeout=TIMEOUT).text)
    return url


async def show(page: Page, status: Status) -> None:
    """Show a status, under the policy of the page that was loaded."""
    troubles = find_troubles(status, SETTINGS)
    await page.set_content(render_status(status, troubles, SETTINGS, refreshes=False))
    await expect(page.get_by_role("heading", level=1)).to_be_visible()


async def test_it_is_shown_as_it_is_meant_under_its_policy(
    open_page: OpenPage, address: str
) -> None:
    page = await open_page(address)
    await expect(page.get_by_role("heading", level=1, name="All is well")).to_be_visible()
    mark = page.locator(".mark")
    await expect(mark).to_have_css("border-radius", "50%")
    await page.get_by_role("link", name="Refresh every 10 s").click()
    await expect(page.get_by_role("link", name="Stop refreshing")).to_be_visible()
    await page.get_by_role("link", name="Stop refreshing").click()
    await expect(page).to_have_url(address)


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_axe_finds_no_violation_in_any_state(
    open_page: OpenPage, address: str, scheme: Literal["light", "dark"]
) -> None:
    page = await open_page(address, color_scheme=scheme)
    for status in STATES:
        await show(page, status)
        result = await Axe().run(page)
        violations = result.response["violations"]
        assert violations == [], [violation["id"] for violation in violations]


async def test_nothing_is_wider_than_a_narrow_screen(open_page: OpenPage, address: str) -> None:
    page = await open_page(address, viewport=PHONE)
    for status in STATES:
        await show(page, status)
        assert await page.evaluate("document.documentElement.scrollWidth") <= 320


async def test_on_a_desk_all_of_it_is_on_one_screen(open_page: OpenPage, address: str) -> None:
    page = await open_page(address)
    for status in (WELL, TROUBLED["database"][0]):
        await show(page, status._replace(at=NOW))
        height = await page.evaluate("document.documentElement.scrollHeight")
        assert height <= 800, height
