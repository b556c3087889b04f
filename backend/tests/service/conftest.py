"""The application behind a real socket; and the real `make run`, in a checkout of its own."""

import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit.live import LiveServer, serve
from testkit.service import BACKEND, StartService, make_checkout, starting_services

Loop = Literal["uvloop", "asyncio"]


@pytest.fixture
def server(settings: Settings) -> Iterator[LiveServer]:
    with serve(create_app(settings)) as server:
        yield server


@pytest.fixture(params=["uvloop", "asyncio", "uvloop, without sendfile"])
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Loop:
    """Return the event loop to serve by; large files are sent from the page cache, and as others.

    Replaced to raise, since a test cannot take a system call from its own process for a while.
    """
    name, _, without_sendfile = request.param.partition(", ")

    def refuse(*_arguments: int) -> int:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    if without_sendfile:
        monkeypatch.setattr(os, "sendfile", refuse)
    return "uvloop" if name == "uvloop" else "asyncio"


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
    # Others compile modules beside this: such a file has a name of its own until it is whole.
    unfinished = shutil.ignore_patterns("*.pyc.*")
    shutil.copytree(BACKEND / "app", project / "backend" / "app", ignore=unfinished)
    for name in ("alembic", "locks"):
        (project / "backend" / name).symlink_to(BACKEND / name)
    with starting_services(project) as start:
        yield start
