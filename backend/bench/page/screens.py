"""Take screenshots of each state of the page, at three widths and in both schemes: `make screens`.

Writes FOLDER/STATE-WIDTH-SCHEME.png, and FOLDER/sheets/STATE.png with the six of a state.
"""

import argparse
import asyncio
import sys
from itertools import product
from pathlib import Path
from typing import Any, Final

from PIL import Image
from playwright.async_api import Error, async_playwright, expect

from bench.__main__ import folder_of
from bench.page.gallery import delete_all, empty_gallery, gallery
from bench.page.states import STATES, Stage
from bench.wrk import BenchmarkFailed
from testkit.programs import CHROMIUM

PHOTOGRAPHS: Final = 110
SIZES: Final = {375: 812, 1440: 900, 2560: 1440}
"""Heights of windows by their widths, in pixels."""
NARROW: Final = 500
SCHEMES: Final = ("light", "dark")
_TIMEOUT: Final = 60_000
"""Milliseconds: the machine may be busy with other things."""
_SHEET: Final = 700
"""Pixels of the height of a sheet's row."""


def main() -> int:
    """Take them; return the exit status: 1 if a state was not reached."""
    parser = argparse.ArgumentParser(prog="make screens", description=__doc__)
    parser.add_argument("folder", type=Path, help="for the screenshots")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for the gallery, to be reused")
    parser.add_argument("--only", metavar="STATE,…", help=f"of: {', '.join(STATES)}")
    parser.add_argument("--width", type=int, choices=SIZES, action="append")
    parser.add_argument("--scheme", choices=SCHEMES, action="append")
    options = parser.parse_args()
    names = options.only.split(",") if options.only else list(STATES)
    (options.folder / "sheets").mkdir(parents=True, exist_ok=True)
    try:
        with (
            folder_of(options.keep) as folder,
            gallery(folder, PHOTOGRAPHS) as full,
            empty_gallery(folder) as empty,
        ):
            places = product(options.width or SIZES, options.scheme or SCHEMES)
            missed = asyncio.run(_take(options.folder, names, list(places), full.url, empty.url))
    except BenchmarkFailed as error:
        print(error, file=sys.stderr)
        return 1
    for name in names:
        _write_sheet(options.folder, name)
    for line in missed:
        print(line, file=sys.stderr)
    return 1 if missed else 0


async def _take(
    folder: Path, names: list[str], places: list[tuple[int, Any]], full: str, empty: str
) -> list[str]:
    """Take the screenshots; return a line for each state that was not reached."""
    missed = []
    expect.set_options(timeout=_TIMEOUT)
    async with (
        async_playwright() as playwright,
        await playwright.chromium.launch(executable_path=CHROMIUM) as browser,
    ):
        for name, (width, scheme) in product(names, places):
            file = folder / f"{name}-{width}-{scheme}.png"
            async with await browser.new_context(**_options(width, scheme)) as context:
                context.set_default_timeout(_TIMEOUT)
                page = await context.new_page()
                try:
                    await STATES[name](Stage(page, full, empty))
                except (Error, AssertionError) as error:
                    missed.append(f"{file.stem} was not reached: {str(error).splitlines()[0]}")
                    print(missed[-1], flush=True)
                await page.screenshot(path=file)
                print(file, flush=True)
            await delete_all(empty)
    return missed


def _options(width: int, scheme: Any) -> Any:
    """Return the options of a window, on a phone if it is narrow."""
    options = {"color_scheme": scheme, "locale": "en-GB"}
    if width < NARROW:
        options |= {"is_mobile": True, "has_touch": True, "device_scale_factor": 2}
    return options | {"viewport": {"width": width, "height": SIZES[width]}}


def _write_sheet(folder: Path, name: str) -> None:
    """Put the screenshots of a state side by side, a scheme a row."""
    rows = []
    for scheme in SCHEMES:
        files = [folder / f"{name}-{width}-{scheme}.png" for width in SIZES]
        shots = [Image.open(file).convert("RGB") for file in files if file.exists()]
        rows.append([shot.resize((shot.width * _SHEET // shot.height, _SHEET)) for shot in shots])
    if not any(rows):
        return
    across = max(sum(shot.width + 8 for shot in row) for row in rows)
    sheet = Image.new("RGB", (across, len(rows) * (_SHEET + 8)), "#888")
    for place, row in enumerate(rows):
        left = 0
        for shot in row:
            sheet.paste(shot, (left, place * (_SHEET + 8)))
            left += shot.width + 8
    sheet.save(folder / "sheets" / f"{name}.png")


if __name__ == "__main__":
    sys.exit(main())
