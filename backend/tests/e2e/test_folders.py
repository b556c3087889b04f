"""Folders dropped on the page from the desktop."""

import re
from pathlib import Path

import pytest
from playwright.async_api import Page, expect

from testkit import samples
from testkit.format_samples import named
from testkit.live import until
from testkit.page import CHOICE
from testkit.programs import needs_chromium
from testkit.service import Service, listed_names

pytestmark = [needs_chromium, pytest.mark.asyncio(loop_scope="session")]

JPEG, PNG = samples.jpeg(), samples.png()


def write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


async def drop(page: Page, *paths: Path) -> None:
    """Drop files and folders of the disk, as the desktop hands them to the browser."""
    devtools = await page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    for kind in ("dragEnter", "dragOver", "drop"):
        event = {"type": kind, "x": 300, "y": 300, "data": data}
        await devtools.send("Input.dispatchDragEvent", event)


async def test_a_dropped_folder_is_searched_for_images_recursively(
    page: Page, service: Service, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    write(folder / "a.jpg", JPEG)
    write(folder / "B.PNG", PNG)
    write(folder / "day 1" / "evening" / "c.jpeg", JPEG)
    write(folder / "IMG_1234", JPEG)
    write(folder / "moving.apng", PNG)
    write(folder / ".DS_Store", b"x")
    write(folder / "day 1" / "._c.jpeg", JPEG)
    write(folder / ".git" / "hidden.jpg", JPEG)
    write(folder / "notes.txt", b"x")
    write(folder / "clip.mov", b"x")
    (folder / "empty").mkdir()
    (folder / "round and round").symlink_to(folder)
    await drop(page, folder)
    sentence = "Skipped 5 files: hidden, unreadable, or not JPEG, PNG, GIF, WebP, AVIF or HEIC."
    await expect(page.get_by_role("status").filter(has_text=sentence)).to_be_visible()
    await expect(page.get_by_text("5 of 5 done")).to_be_visible()
    await expect(page.get_by_text("Upload successful")).to_have_count(5)
    assert sorted(listed_names(service)) == ["B.PNG", "IMG_1234", "a.jpg", "c.jpeg", "moving.apng"]


async def test_a_dropped_folder_has_images_of_each_type_found_by_their_bytes(
    page: Page, service: Service, tmp_path: Path
) -> None:
    await page.get_by_role("button", name="Upload").click()
    await page.get_by_label(CHOICE).uncheck()
    await page.keyboard.press("Escape")
    kinds = ["avif", "gif", "heic", "jpeg", "png", "webp"]
    for kind in kinds:
        write(tmp_path / "camera" / kind, named(f"{kind} plain").content)
    write(tmp_path / "camera" / "film", named("heic plain").content.replace(b"heic", b"isom", 1))
    await drop(page, tmp_path / "camera")
    await expect(page.get_by_text("Skipped 1 file:")).to_be_visible()
    await until(lambda: sorted(listed_names(service)) == kinds)


async def test_a_folder_of_more_entries_than_the_browser_returns_at_once_is_read_completely(
    page: Page, service: Service, tmp_path: Path
) -> None:
    for number in range(230):
        write(tmp_path / "many" / f"{number}.txt", b"x")
    write(tmp_path / "many" / "zz.jpg", JPEG)
    await drop(page, tmp_path / "many")
    await expect(page.get_by_text("Skipped 230 files")).to_be_visible()
    await until(lambda: listed_names(service) == ["zz.jpg"])


async def test_folders_and_files_are_dropped_together(
    page: Page, service: Service, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    write(one / "1.jpg", JPEG)
    write(two / "2.jpg", JPEG)
    loose = [write(tmp_path / "3.png", PNG), write(tmp_path / "notes.txt", b"no image")]
    await drop(page, one, loose[0], two, loose[1])
    await expect(page.get_by_text("4 of 4 done")).to_be_visible()
    await expect(page.get_by_text("Invalid file type")).to_have_count(1)
    await expect(page.get_by_text("Skipped")).to_have_count(0)
    assert sorted(listed_names(service)) == ["1.jpg", "2.jpg", "3.png"]


async def test_a_dropped_folder_without_images_shows_a_message(page: Page, tmp_path: Path) -> None:
    write(tmp_path / "texts" / "notes.txt", b"x")
    (tmp_path / "empty").mkdir()
    await drop(page, tmp_path / "texts")
    await expect(page.get_by_text(re.compile("^Skipped 1 file:"))).to_be_visible()
    await drop(page, tmp_path / "empty")
    await expect(page.get_by_text("The folder has no files.")).to_be_visible()
    await expect(page.get_by_role("region", name="Uploads")).to_be_hidden()
