"""Measure the page in Chromium: `make page-report`.

Lighthouse over 200 photographs, as on a desktop and as on a phone (its simulation of a slow
network and a slow processor), medians of five runs; and the memory of the renderer process after
scrolling through 1,000. Needs an idle machine.
"""

import argparse
import asyncio
import sys
from pathlib import Path
from typing import Final

from bench import machine
from bench.__main__ import folder_of
from bench.page import lighthouse
from bench.page.gallery import gallery
from bench.page.renderer import memory_after_scrolling
from bench.wrk import BenchmarkFailed

FIRST: Final = 200
LONG: Final = 1000
GOALS: Final = {"desktop": 95, "mobile": 90}
"""Scores of performance."""
MOST: Final = 300
"""MiB of the renderer."""


def main() -> int:
    """Measure, and print it; return the exit status: 1 if a goal was missed."""
    parser = argparse.ArgumentParser(prog="make page-report", description=__doc__)
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="for galleries and reports")
    parser.add_argument("--only", choices=("lighthouse", "memory"))
    options = parser.parse_args()
    reached = []
    try:
        with folder_of(options.keep) as folder:
            if options.only != "memory":
                reached += _lighthouse(folder)
            if options.only != "lighthouse":
                reached.append(_memory(folder))
    except BenchmarkFailed as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(f"{name}: {value}" for name, value in machine.describe().items()))
    return 0 if all(reached) else 1


def _lighthouse(folder: Path) -> list[bool]:
    lighthouse.install()
    reached = []
    with gallery(folder, FIRST) as service:
        for device, goal in GOALS.items():
            found = lighthouse.measure(service.url, device, folder)
            print(f"{device}, {FIRST} photographs:")
            for name, value in found.items():
                print(f"  {name}: {value:.3g}" if value < 1 else f"  {name}: {value:,.0f}")
            reached.append(found["performance"] >= goal)
    return reached


def _memory(folder: Path) -> bool:
    with gallery(folder, LONG) as service:
        found = asyncio.run(memory_after_scrolling(service.url, LONG))
    for place, memory in found.items():
        print(
            f"renderer, {LONG:,} photographs, {place}: {memory.pss:.0f} MiB (PSS), "
            f"{memory.rss:.0f} (RSS)"
        )
    return found["at most"].pss <= MOST


if __name__ == "__main__":
    sys.exit(main())
