"""The application behind a real socket; and the real `make run`, in a checkout of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.live import LiveServer, serve
from testkit.service import StartService, make_checkout, starting_services


@pytest.fixture
def server(settings: Settings) -> Iterator[LiveServer]:
    with serve(create_app(settings)) as server:
        yield server


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return make_checkout(tmp_path / "checkout")


@pytest.fixture
def start(project: Path) -> Iterator[StartService]:
    with starting_services(project) as start:
        yield start
