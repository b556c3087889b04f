"""The page of a service that sends browsers to a store for files."""

from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, expect

from testkit import samples
from testkit.ceph import Ceph
from testkit.programs import needs_ceph, needs_chromium
from testkit.service import StartService, upload

pytestmark = [needs_chromium, needs_ceph, pytest.mark.asyncio(loop_scope="session")]


async def test_the_viewer_shows_the_original_from_the_store(
    browser: Browser, start_service: StartService, ceph: Ceph, bucket: str, tmp_path: Path
) -> None:
    settings = [f"{name}={value}" for name, value in ceph.settings(bucket).items()]
    settings += ["STORAGE_REDIRECT=true", "THUMBNAIL_SIZES=none"]
    service = start_service(*settings, data_dir=tmp_path / "data").wait_until_it_serves()
    upload(service, samples.jpeg(1200, 900))
    context = await browser.new_context(locale="en-GB")
    page = await context.new_page()
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(service.url)
    await page.locator('#gallery img[alt="photo.jpg"]').click()
    viewer = page.get_by_role("dialog", name="photo.jpg")
    await expect(viewer.locator("img")).to_have_js_property("naturalWidth", 1200)
    assert ceph.endpoint in {str(httpx.URL(address).copy_with(raw_path=b"")) for address in asked}
    await context.close()
    service.stop()
