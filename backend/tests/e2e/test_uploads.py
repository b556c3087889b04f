"""Uploads: chosen, dropped and pasted; refused, cancelled, interrupted, retried."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from PIL import ExifTags, Image
from playwright.async_api import Page, Route, expect

from testkit import samples
from testkit.live import until
from testkit.page import (
    KEY,
    OpenPage,
    a_file,
    a_transfer,
    all_loaded,
    choose,
    row_of,
    shown,
    wait_for_previews,
)
from testkit.programs import needs_chromium
from testkit.relay import relaying
from testkit.service import (
    Service,
    StartService,
    listed_names,
    storage_unavailable,
    stored_files,
    upload,
)

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG = samples.jpeg(640, 480)
TEXT = a_file("notes.txt", b"no image at all")
LARGE = 20 * 1024 * 1024
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"><script>alert(2)</script></svg>'


@asynccontextmanager
async def slow_network(page: Page, bytes_per_second: int) -> AsyncIterator[None]:
    """Limit how fast the browser sends."""
    devtools = await page.context.new_cdp_session(page)
    conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
    name = "Network.emulateNetworkConditions"
    await devtools.send(name, {**conditions, "uploadThroughput": bytes_per_second})
    try:
        yield
    finally:
        await devtools.send(name, {**conditions, "uploadThroughput": -1})


async def test_an_uploaded_image_appears_first_in_the_gallery(page: Page, service: Service) -> None:
    upload(service, JPEG, "before.jpg")
    await page.reload()
    await page.click("text=Upload")
    await page.set_input_files("input[type=file]", [a_file("new.jpg", JPEG)])
    await page.click("text=Submit")
    await expect(page.locator("text=Upload successful")).to_be_visible()
    await expect(page.locator('img[alt="new.jpg"]')).to_be_visible()
    assert await shown(page) == ["new.jpg", "before.jpg"]
    await page.locator('img[alt="new.jpg"]').click()
    await expect(page.get_by_role("dialog", name="new.jpg")).to_be_visible()
    natural = "img => img.decode().then(() => img.naturalWidth)"
    assert await page.locator("dialog img").evaluate(natural) == 640


async def test_a_new_image_is_shown_by_its_own_file_upright_and_not_fetched(
    page: Page, service: Service
) -> None:
    photograph = Image.new("RGB", (1200, 800), "blue")
    photograph.paste("red", (0, 0, 600, 400))
    turned, file = Image.Exif(), BytesIO()
    turned[ExifTags.Base.Orientation] = 6
    photograph.save(file, "JPEG", exif=turned)
    fetched: list[str] = []
    page.on("request", lambda request: fetched.append(request.url))
    await wait_for_previews(page)
    await choose(page, a_file("turned.jpg", file.getvalue()))
    img = page.locator('#gallery img[alt="turned.jpg"]')
    await expect(img).to_have_attribute("src", re.compile("^blob:"))
    corners = await img.evaluate(
        """async (img) => {
          await img.decode();
          const { naturalWidth: width, naturalHeight: height } = img;
          const context = new OffscreenCanvas(width, height).getContext("2d");
          context.drawImage(img, 0, 0);
          const red = (x) => context.getImageData(x * width, height / 4, 1, 1).data[0];
          return [width, height, red(0.25), red(0.75)];
        }"""
    )
    assert corners[:2] == [400, 600]
    assert corners[2] < 50
    assert corners[3] > 200
    assert not [url for url in fetched if url.endswith("/file") or "/thumbnails/" in url]


async def test_a_file_name_is_stored_as_the_browser_meant_it(page: Page, service: Service) -> None:
    names = ['say "cheese".jpg', "100%25 %22.jpg", "图 “Zürich”.jpg"]
    await choose(page, *[a_file(name, JPEG) for name in names])
    await expect(page.get_by_text("3 of 3 done")).to_be_visible()
    # A browser writes a quote as %22, and no other % differently, so these two are the same.
    assert sorted(listed_names(service)) == sorted([names[0], '100%25 ".jpg', names[2]])


async def test_a_truncated_image_is_stored_and_reported(page: Page, service: Service) -> None:
    await choose(page, a_file("cut.jpg", JPEG[: len(JPEG) // 2]), a_file("whole.jpg", JPEG))
    sentence = "Part of the picture is missing"
    row = row_of(page, "cut.jpg")
    await expect(row).to_contain_text(f"Upload successful. {sentence}")
    await expect(page.get_by_text("2 of 2 done")).to_be_visible()
    await expect(page.get_by_text(sentence)).to_have_count(1)
    for name, count in (("cut.jpg", 1), ("whole.jpg", 0)):
        await page.locator(f'img[alt="{name}"]').click()
        dialog = page.get_by_role("dialog", name=name)
        await expect(dialog.get_by_text(sentence)).to_have_count(count)
        await page.keyboard.press("Escape")


async def test_a_text_file_is_refused_with_the_services_detail(
    page: Page, service: Service
) -> None:
    await choose(page, TEXT)
    sentence = "Invalid file type: the file is not a JPEG, PNG, GIF, WebP, AVIF or HEIC image."
    await expect(page.get_by_text(sentence)).to_be_visible()
    await expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert listed_names(service) == []


async def test_an_svg_named_png_is_refused_and_runs_nothing(page: Page, service: Service) -> None:
    await choose(page, a_file("<img src=x onerror=alert(1)>.png", SVG))
    await expect(page.get_by_text("Invalid file type")).to_be_visible()
    await expect(page.locator("img")).to_have_count(0)
    assert listed_names(service) == []


async def test_each_file_succeeds_or_fails_alone(page: Page, service: Service) -> None:
    await choose(page, *[a_file(f"{n}.jpg", JPEG) for n in range(4)], TEXT)
    await expect(page.get_by_text("5 of 5 done")).to_be_visible()
    await expect(page.get_by_text("Upload successful")).to_have_count(4)
    await expect(page.get_by_text("Invalid file type")).to_have_count(1)
    assert sorted(listed_names(service)) == [f"{n}.jpg" for n in range(4)]
    await page.get_by_role("button", name="Close the list").click()
    await expect(page.get_by_role("region", name="Uploads")).to_be_hidden()


async def test_many_files_have_rows_for_what_is_sent_and_was_done_last(
    page: Page, service: Service
) -> None:
    panel = page.get_by_role("region", name="Uploads")
    rows = panel.get_by_role("listitem")
    small, large = samples.jpeg(), samples.sized_jpeg(400_000)
    async with slow_network(page, 30_000):
        files = [(f"small-{n}.jpg", small) for n in range(8)]
        files += [(f"large-{n}.jpg", large) for n in range(30)]
        await choose(page, *[a_file(*file) for file in files])
        await expect(page.get_by_text("27 more waiting")).to_be_visible()
        await expect(page.get_by_text("3 more done")).to_be_visible()
        await expect(page.get_by_text("Upload successful")).to_have_count(5)
        await expect(rows).to_have_count(3 + 5)
        await expect(page.get_by_text(re.compile(r"KiB of 390\.6 KiB$"))).to_have_count(3)
        bars = page.get_by_role("progressbar")
        await expect(bars).to_have_count(3 + 1)
        assert 0 < float(await bars.first.get_attribute("value") or 0) < 1
        await expect(
            page.get_by_text(re.compile(r"MiB of 11\.5 MiB · about \d+ min left$"))
        ).to_be_visible()
        await page.get_by_role("button", name="Cancel all").click()
        await expect(page.get_by_text("38 of 38 done")).to_be_visible()
        await expect(panel.get_by_text("8 added, 30 cancelled")).to_be_visible()
        await expect(page.get_by_role("button", name="Close the list")).to_be_focused()
    assert len(listed_names(service)) == 8


async def test_the_list_folds_to_how_far_all_are(page: Page, service: Service) -> None:
    fold = page.get_by_role("button", name="Files")
    await choose(page, TEXT)
    await expect(page.get_by_text("Invalid file type")).to_be_visible()
    await expect(fold).to_have_attribute("aria-expanded", "true")
    await fold.click()
    await expect(fold).to_have_attribute("aria-expanded", "false")
    await expect(page.get_by_text("Invalid file type")).to_be_hidden()
    await expect(page.get_by_text("1 of 1 done")).to_be_visible()


async def test_on_a_phone_many_files_do_not_cover_the_gallery(
    open_page: OpenPage, service: Service
) -> None:
    page = await open_page(service.url, viewport={"width": 375, "height": 812})
    await choose(page, *[a_file(f"{n}.jpg", JPEG) for n in range(8)])
    await expect(page.get_by_text("8 of 8 done")).to_be_visible()
    box = await page.get_by_role("region", name="Uploads").bounding_box()
    assert box
    assert box["height"] < 100
    await page.get_by_role("button", name="Files").click()
    await expect(page.get_by_text("Upload successful")).to_have_count(5)


async def test_failed_uploads_are_sent_again_together(page: Page, service: Service) -> None:
    problem = {"json": {"type": "#storage-full"}, "content_type": "application/problem+json"}
    await page.route("**/upload", lambda route: route.fulfill(status=507, **problem))
    await choose(page, *[a_file(f"{n}.jpg", JPEG) for n in range(3)])
    await expect(page.get_by_role("heading", name="3 failed")).to_be_visible()
    await expect(page.get_by_text("The service is full.")).to_have_count(3)
    await page.unroute("**/upload")
    await page.get_by_role("button", name="Retry all").click()
    await expect(page.get_by_text("Upload successful")).to_have_count(3)
    await expect(page.get_by_role("heading", name="failed")).to_have_count(0)
    assert sorted(listed_names(service)) == ["0.jpg", "1.jpg", "2.jpg"]


async def test_what_is_chosen_is_shown_before_it_is_sent(page: Page, service: Service) -> None:
    await wait_for_previews(page)
    await page.get_by_role("button", name="Upload").click()
    files = page.get_by_label("Choose file")
    await files.set_input_files([a_file("a.jpg", JPEG), TEXT])
    await files.set_input_files([a_file("b.jpg", JPEG)])
    await expect(page.get_by_text(re.compile("^3 pictures, .* KiB$"))).to_be_visible()
    chosen = page.get_by_role("list", name="Chosen")
    await expect(chosen.locator("img")).to_have_count(2)
    await page.get_by_role("button", name="Remove notes.txt").click()
    await expect(page.get_by_role("button", name="Remove b.jpg")).to_be_focused()
    await expect(page.get_by_text(re.compile("^2 pictures, "))).to_be_visible()
    assert listed_names(service) == []
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_text("2 of 2 done")).to_be_visible()
    assert sorted(listed_names(service)) == ["a.jpg", "b.jpg"]


async def test_what_is_dropped_before_the_page_is_ready_is_sent(
    page: Page, service: Service
) -> None:
    held: list[Route] = []

    async def hold(route: Route) -> None:
        held.append(route)

    await all_loaded(page)
    await page.route("**/uploads.js", hold)
    await page.reload(wait_until="commit")
    await until(lambda: held)
    transfer = await a_transfer(page, "early.jpg", JPEG)
    await page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    await held[0].continue_()
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["early.jpg"]


async def test_leaving_the_page_while_it_sends_asks(page: Page, service: Service) -> None:
    leaves = "dispatchEvent(new Event('beforeunload', { cancelable: true }))"
    async with slow_network(page, 10_000):
        await choose(page, a_file("slow.jpg", samples.sized_jpeg(400_000)))
        await expect(page.get_by_text("Sending", exact=True)).to_be_visible()
        assert not await page.evaluate(leaves)
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert await page.evaluate(leaves)


async def test_cancel_in_the_middle_of_a_large_upload_stores_nothing(
    page: Page, service: Service, tmp_path: Path
) -> None:
    large = tmp_path / "large.jpg"
    large.write_bytes(samples.sized_jpeg(LARGE))
    async with slow_network(page, 500_000):
        await choose(page, large, strips=False)
        await until(lambda: any(file.stat().st_size for file in stored_files(service)))
        row = row_of(page, "large.jpg")
        await row.get_by_role("button", name="Cancel").click()
        await expect(row).to_contain_text("Cancelled")
        await expect(row).to_be_focused()
        await until(lambda: not stored_files(service))
    assert listed_names(service) == []
    await page.reload()
    await expect(page.get_by_text("No pictures yet")).to_be_visible()


async def test_an_unreadable_file_is_not_retried(
    page: Page, service: Service, tmp_path: Path
) -> None:
    vanishing = tmp_path / "gone.jpg"
    vanishing.write_bytes(JPEG)
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label("Choose file").set_input_files(vanishing)
    vanishing.unlink()
    await page.get_by_role("button", name="Submit").click()
    await expect(page.get_by_text("The file is empty, a folder, or unreadable.")).to_be_visible()
    await expect(page.get_by_role("button", name="Retry")).to_have_count(0)
    assert listed_names(service) == []


async def test_a_tile_dragged_over_the_page_is_not_uploaded(page: Page, service: Service) -> None:
    upload(service, JPEG)
    await page.reload()
    await page.locator("#gallery img").hover()
    await page.mouse.down()
    await page.mouse.move(600, 500, steps=5)
    await expect(page.locator(".dropping")).to_have_count(0)
    await page.mouse.up()
    await choose(page, TEXT)  # queued behind what the drop would have started
    await expect(page.get_by_text("1 of 1 done")).to_be_visible()
    assert len(listed_names(service)) == 1


async def test_files_can_be_dropped_anywhere_and_pasted(page: Page, service: Service) -> None:
    transfer = await a_transfer(page, "moved.jpg", JPEG)
    await page.dispatch_event("main", "drop", {"dataTransfer": transfer})
    await expect(page.locator('img[alt="moved.jpg"]')).to_have_count(1)
    await page.get_by_role("button", name="Upload").click()
    await expect(page.get_by_label("Choose file")).to_be_visible()
    await page.evaluate(
        """clipboardData => document.body.dispatchEvent(
          new ClipboardEvent("paste", { clipboardData, bubbles: true }),
        )""",
        transfer,
    )
    await expect(page.get_by_text("1 picture, ")).to_be_visible()
    assert listed_names(service) == ["moved.jpg"]
    await page.get_by_role("button", name="Submit").click()
    await expect(page.locator('img[alt="moved.jpg"]')).to_have_count(2)
    await until(lambda: listed_names(service) == ["moved.jpg"] * 2)


@pytest.mark.parametrize("is_folded", [True, False])
async def test_the_list_of_uploads_never_covers_the_focused_tile(
    open_page: OpenPage, service: Service, is_folded: bool
) -> None:
    for _ in range(20):
        upload(service, JPEG)
    page = await open_page(service.url, viewport={"width": 360, "height": 740})
    await all_loaded(page)
    await choose(page, *[TEXT] * 6)
    await expect(page.get_by_text("6 of 6 done")).to_be_visible()
    if not is_folded:
        await page.get_by_role("button", name="Files").click()
    await page.get_by_role("link", name="photo.jpg").first.focus()
    focused = set()
    for _ in range(20):
        address = await page.evaluate(
            """() => {
                const { left, top, width, height } = document.activeElement.getBoundingClientRect();
                const there = document.elementFromPoint(left + width / 2, top + height / 2);
                return document.activeElement.contains(there) && document.activeElement.href;
            }"""
        )
        assert address
        focused.add(address)
        await page.keyboard.press("ArrowRight")
    assert len(focused) == 20


async def test_an_upload_while_offline_resumes_when_online(page: Page, service: Service) -> None:
    upload(service, JPEG, "there.jpg")
    await all_loaded(page)
    await page.context.set_offline(True)
    await choose(page, a_file("late.jpg", JPEG))
    await expect(page.get_by_text("There is no connection to the service.")).to_be_visible()
    await expect(page.get_by_text("Resumes when the network is back")).to_be_visible()
    await page.context.set_offline(False)
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["late.jpg", "there.jpg"]


async def test_an_upload_whose_connection_breaks_is_retried(
    open_page: OpenPage, service: Service
) -> None:
    async with relaying(service.url) as (url, relay):
        page = await open_page(url)
        async with slow_network(page, 200_000):
            await choose(page, a_file("broken.jpg", samples.sized_jpeg(5_000_000)), strips=False)
            await until(lambda: any(file.stat().st_size for file in stored_files(service)))
            relay.is_broken = True
            relay.cut()
            await expect(page.get_by_text("There is no connection")).to_be_visible()
            await expect(page.get_by_text(re.compile("Trying again in [1-5] s"))).to_be_visible()
            await until(lambda: not stored_files(service))
            relay.is_broken = False
        await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["broken.jpg"]


async def test_an_upload_whose_answer_is_lost_is_sent_again_and_stored_once(
    open_page: OpenPage, service: Service
) -> None:
    async with relaying(service.url) as (url, relay):
        page = await open_page(url)
        await all_loaded(page)
        relay.cut()  # browsers repeat by themselves what an idle connection lost
        relay.loses_answers = True
        await choose(page, a_file("once.jpg", JPEG))
        await until(lambda: listed_names(service))
        relay.loses_answers = False
        relay.cut()
        await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["once.jpg"]


async def test_each_file_has_a_key_of_its_own_which_it_keeps_unless_it_is_sent_otherwise(
    page: Page, service: Service
) -> None:
    keys: list[str] = []

    async def refuse(route: Route) -> None:
        keys.append(route.request.headers["idempotency-key"])
        kind = "storage-full" if len(keys) < 5 else "metadata-not-removable"
        problem: Any = {"json": {"type": f"#{kind}"}, "content_type": "application/problem+json"}
        await route.fulfill(status=507, **problem)

    await page.route("**/upload", refuse)
    await choose(page, a_file("a.jpg", JPEG), a_file("b.jpg", JPEG))
    await page.get_by_role("button", name="Retry all").click()
    await until(lambda: len(keys) == 4)
    await page.get_by_role("button", name="Retry all").click()
    await page.get_by_role("button", name="Send all with their data").click()
    await until(lambda: len(keys) == 8)
    assert set(keys[:2]) == set(keys[2:4]) == set(keys[4:6])
    assert len(set(keys)) == 4


async def test_an_upload_while_the_storage_is_unavailable_is_retried(
    page: Page, service: Service
) -> None:
    with storage_unavailable(service):
        await choose(page, a_file("patient.jpg", JPEG))
        await expect(page.get_by_text(re.compile("Trying again in [1-5] s"))).to_be_visible()
        retry = page.get_by_role("button", name="Retry")
        await retry.click()
        await expect(retry).to_be_visible()
    await expect(page.get_by_text("Upload successful")).to_be_visible()
    assert listed_names(service) == ["patient.jpg"]


async def test_the_page_asks_once_for_the_key_and_says_if_it_is_wrong(
    start_service: StartService, open_page: OpenPage, tmp_path: Path
) -> None:
    settings = f"API_KEY={KEY}", "UPLOADS_PER_HOUR_PER_IP=1"
    service = start_service(*settings, data_dir=tmp_path / "data").wait_until_it_serves()
    page = await open_page(service.url)
    dialog = page.get_by_role("dialog", name="This service needs a key")
    field = dialog.get_by_label("API key")
    await expect(field).to_be_focused()
    await page.keyboard.press("Escape")
    await expect(page.get_by_text("Try again and enter the API key.")).to_be_visible()
    await page.get_by_role("button", name="Try again").click()
    await field.fill("wrong")
    await page.keyboard.press("Enter")
    await expect(dialog.get_by_text("That key is wrong.")).to_be_visible()
    await field.fill(KEY)
    await page.keyboard.press("Enter")
    await expect(page.get_by_text("No pictures yet")).to_be_visible()

    await choose(page, a_file("mine.jpg", JPEG), a_file("too-many.jpg", JPEG))
    await expect(page.get_by_text("Upload successful")).to_have_count(1)
    await expect(page.get_by_text(re.compile(r"Trying again in 59 min \d+ s"))).to_be_visible()
    await page.get_by_role("button", name="Cancel").click()
    await expect(page.get_by_text("2 of 2 done")).to_be_visible()

    await page.reload()
    await expect(page.locator("#gallery img")).to_have_count(1)
    await expect(dialog).to_have_count(0)
    assert await page.evaluate("[localStorage.length, document.cookie]") == [0, ""]
    another = await open_page(service.url)
    await expect(another.get_by_role("dialog")).to_be_visible()
