"""What the terminal shows while dependencies are installed, by the real pip, without a network."""

import os
import pty
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

PROGRAM = Path(__file__).parents[2] / "install.py"


@pytest.fixture
def wheels(tmp_path: Path) -> Path:
    """Give a folder with a package `tiny`."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    with ZipFile(folder / "tiny-1.0-py3-none-any.whl", "w") as wheel:
        for name, content in {
            "tiny.py": "",
            "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
            "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: x\nTag: py3-none-any\n",
            "tiny-1.0.dist-info/RECORD": "tiny.py,,\n",
        }.items():
            wheel.writestr(name, content)
    return folder


def command(wheels: Path, lock: str) -> list[str]:
    path = wheels.parent / "lock.txt"
    path.write_text(lock)
    target = wheels.parent / "installed"
    options = ["--isolated", "--no-index", "--find-links", str(wheels), "--target", str(target)]
    return [sys.executable, str(PROGRAM), str(path), *options]


def run(wheels: Path, lock: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(wheels, lock), capture_output=True, text=True, check=False)  # noqa: S603


def test_it_is_shown_that_something_happens(wheels: Path) -> None:
    done = run(wheels, "tiny==1.0\n")
    assert done.returncode == 0, done.stdout
    assert (wheels.parent / "installed" / "tiny.py").exists()
    lines = done.stdout.splitlines()
    assert lines[0] == "  asking for up to 1 packages"
    assert lines[-1].startswith("  1 packages installed in ")
    assert len(lines) <= 4


def test_an_error_is_shown_in_pips_words_and_ends_with_its_status(wheels: Path) -> None:
    done = run(wheels, "tiny==2.0\n")
    assert done.returncode == 1
    assert "ERROR: No matching distribution found for tiny==2.0" in done.stdout
    assert done.stdout.splitlines()[-1] == "  not installed; pip ended with status 1"


def test_a_terminal_sees_one_line_that_changes(wheels: Path) -> None:
    ours, theirs = pty.openpty()
    done = subprocess.run(command(wheels, "tiny==1.0\n"), stdout=theirs, check=False)  # noqa: S603
    os.close(theirs)
    shown = os.read(ours, 65536).decode()
    os.close(ours)
    assert done.returncode == 0
    assert "package 1 of up to 1: tiny" in shown
    assert shown.count("\n") == 1
    assert shown.endswith("s\r\n")
