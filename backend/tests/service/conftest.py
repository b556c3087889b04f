"""The application behind a real socket; and the real `make run`, in a checkout of its own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.live import LiveServer, serve
from testkit.service import BACKEND, StartService, make_checkout, starting_services


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


@pytest.fixture
def start_own(project: Path) -> Iterator[StartService]:
    """Start services from a copy of the program, which a test may damage."""
    (project / "backend").unlink()
    (project / "backend").mkdir()
    shutil.copytree(BACKEND / "app", project / "backend" / "app")
    for name in ("alembic", "locks"):
        (project / "backend" / name).symlink_to(BACKEND / name)
    with starting_services(project) as start:
        yield start
