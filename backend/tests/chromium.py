"""The browser of the tests: Chromium as Debian packs it (`make chromium`)."""

import os
from shutil import which

import pytest

CHROMIUM = which("chromium") or "chromium, which `make chromium` installs"

needs_chromium = pytest.mark.skipif(
    which("chromium") is None and not os.environ.get("CI"),
    reason="NO CHROMIUM, so what browsers do is NOT TESTED; install it with: make chromium",
)
"""Lets a developer do without; in CI the test fails instead."""
