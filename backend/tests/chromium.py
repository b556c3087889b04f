"""The browser of the tests: Chromium (`make chromium`), or what a developer has."""

import os
from shutil import which

import pytest

_FOUND = which("chromium") or which("chromium-browser") or which("google-chrome")
CHROMIUM = _FOUND or "chromium, which `make chromium` installs"

needs_chromium = pytest.mark.skipif(
    _FOUND is None and not os.environ.get("CI"),
    reason="NO CHROMIUM, so what browsers do is NOT TESTED; install it with: make chromium",
)
"""Lets a developer do without; in CI the test fails instead."""
