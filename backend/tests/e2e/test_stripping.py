"""Metadata: removed from what the page uploads, unless the person wants to keep them."""

from io import BytesIO

import pytest
from PIL import ExifTags, Image, ImageChops
from playwright.async_api import JSHandle, Page, expect

from testkit.format_samples import jpeg, named
from testkit.format_samples.private import SECRET
from testkit.page import CHOICE, a_file, a_transfer, choose, row_of
from testkit.programs import needs_chromium
from testkit.service import Service, download, listed_ids, listed_names

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

PHOTOGRAPH = jpeg.with_metadata(orientation=6)
KEPT = "Upload successful, with all its data"


def newest(service: Service) -> bytes:
    """Return the file of the newest image as it is stored."""
    return download(service, {"id": listed_ids(service)[0]})


async def drop(page: Page, transfer: JSHandle) -> None:
    await page.dispatch_event("main", "drop", {"dataTransfer": transfer})


async def paste(page: Page, transfer: JSHandle) -> None:
    await page.evaluate(
        """clipboardData => document.body.dispatchEvent(
          new ClipboardEvent("paste", { clipboardData, bubbles: true }),
        )""",
        transfer,
    )


async def test_an_upload_loses_where_it_was_taken_and_keeps_its_pixels_and_orientation(
    page: Page, service: Service
) -> None:
    before = Image.open(BytesIO(PHOTOGRAPH))
    assert before.getexif().get_ifd(ExifTags.IFD.GPSInfo)
    await choose(page, a_file("holiday.jpg", PHOTOGRAPH))
    await expect(page.get_by_text("Upload successful", exact=True)).to_be_visible()
    stored = newest(service)
    after = Image.open(BytesIO(stored))
    assert dict(after.getexif()) == {ExifTags.Base.Orientation: 6}
    assert ImageChops.difference(before, after).getbbox() is None
    assert SECRET not in stored


@pytest.mark.parametrize("kind", ["png", "gif", "webp"])
async def test_each_type_that_can_lose_its_metadata_does(
    page: Page, service: Service, kind: str
) -> None:
    sample = named(f"{kind} metadata")
    await choose(page, a_file(sample.filename, sample.content))
    await expect(page.get_by_text("Upload successful", exact=True)).to_be_visible()
    assert SECRET in sample.content
    assert SECRET not in newest(service)


async def test_an_image_without_metadata_is_stored_as_it_was(page: Page, service: Service) -> None:
    kinds = ("jpeg", "png", "gif", "webp")
    files = {kind: named(f"{kind} plain").content for kind in kinds}
    await choose(page, *[a_file(kind, content) for kind, content in files.items()])
    await expect(page.get_by_text("4 of 4 done")).to_be_visible()
    stored = zip(listed_names(service), listed_ids(service), strict=True)
    assert {kind: download(service, {"id": id_}) for kind, id_ in stored} == files


async def test_metadata_are_kept_if_the_person_says_so(page: Page, service: Service) -> None:
    await choose(page, a_file("whole.jpg", PHOTOGRAPH), strips=False)
    await expect(page.get_by_text(KEPT)).to_be_visible()
    assert newest(service) == PHOTOGRAPH


async def test_the_choice_holds_for_drop_and_paste_until_the_page_is_loaded_again(
    page: Page, service: Service
) -> None:
    transfer = await a_transfer(page, "moved.jpg", PHOTOGRAPH)
    tiles = page.locator("#gallery img")
    for count, bring in enumerate((drop, paste), 1):
        await bring(page, transfer)
        await expect(tiles).to_have_count(count)
        assert SECRET not in newest(service)
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label(CHOICE).uncheck()
    await page.get_by_role("button", name="Cancel").click()
    for count, bring in enumerate((drop, paste), 3):
        await bring(page, transfer)
        await expect(tiles).to_have_count(count)
        assert newest(service) == PHOTOGRAPH
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_label(CHOICE)).not_to_be_checked()
    await page.reload()
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_label(CHOICE)).to_be_checked()


async def test_a_drop_says_beforehand_what_becomes_of_metadata(page: Page) -> None:
    async def expect_words(words: str) -> None:
        transfer = await a_transfer(page, "moved.jpg", PHOTOGRAPH)
        await page.dispatch_event("main", "dragover", {"dataTransfer": transfer})
        shown = "getComputedStyle(document.documentElement, '::after').content"
        await page.wait_for_function(f"words => {shown}.includes(words)", arg=words)

    await expect_words("without camera and location data")
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label(CHOICE).uncheck()
    await expect_words(" with camera and location data")


@pytest.mark.parametrize("kind", ["avif", "heic"])
async def test_a_type_that_cannot_lose_its_metadata_is_sent_with_them_only_when_told_so(
    page: Page, service: Service, kind: str
) -> None:
    sample = named(f"{kind} metadata")
    await choose(page, a_file(sample.filename, sample.content))
    row = row_of(page, sample.filename)
    await expect(row).to_contain_text("Camera and location data cannot be removed from this file.")
    await expect(row.get_by_role("button", name="Retry")).to_have_count(0)
    assert listed_names(service) == []
    await choose(page, a_file("other.jpg", PHOTOGRAPH))
    await expect(page.get_by_text("2 of 2 done")).to_be_visible()
    await row.get_by_role("button", name="Send with its data").click()
    await expect(row).to_contain_text(KEPT)
    assert newest(service) == sample.content
    await choose(page, a_file("next.jpg", PHOTOGRAPH))
    await expect(page.locator('img[alt="next.jpg"]')).to_have_count(1)
    assert SECRET not in newest(service), "that file alone"


async def test_a_file_whose_structure_cannot_be_followed_is_offered_too(
    page: Page, service: Service
) -> None:
    damaged = PHOTOGRAPH[:2] + b"\xff\xe1\x00\x00" + PHOTOGRAPH[2:]
    await choose(page, a_file("damaged.jpg", damaged))
    await expect(page.get_by_text("cannot be removed")).to_be_visible()
    await page.get_by_role("button", name="Send with its data").click()
    await expect(page.get_by_text(KEPT)).to_be_visible()
    assert newest(service) == damaged
