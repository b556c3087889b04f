"""The real `make run`, in a checkout of the test's own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from testkit.service import StartService, make_checkout, starting_services


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def start(project: Path) -> Iterator[StartService]:
    with starting_services(project) as start:
        yield start
