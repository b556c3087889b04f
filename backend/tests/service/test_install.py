"""What the terminal shows while dependencies are installed, by the real pip, without a network."""

import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from zipfile import ZipFile

import pytest

ROOT = Path(__file__).parents[3]
PROGRAM = ROOT / "backend" / "install.py"


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
    shown = ""
    with suppress(OSError):  # EIO: all has been read, and nobody writes any more
        while piece := os.read(ours, 65536):
            shown += piece.decode()
    os.close(ours)
    assert done.returncode == 0
    assert "package 1 of up to 1: tiny" in shown
    assert shown.count("\n") == 1
    assert shown.endswith("s\r\n")


def planned(folder: Path, *arguments: str, **environment: str) -> list[str]:
    """Return the lock files that make would install in a checkout, in order."""
    for name in ("Makefile", "backend"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    done = subprocess.run(  # noqa: S603
        ["make", "-n", *arguments],  # noqa: S607
        cwd=folder,
        env={"PATH": os.environ["PATH"]} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return re.findall(r"install\.py backend/locks/(\w+)\.txt", done.stdout)


FRESH = ["embedded", "core"]
"""What a machine without anything is given: the second only if the first fails."""


@pytest.mark.parametrize("command", ["run", "worker", "migrate", "backfill", "fsck", "jobs"])
@pytest.mark.parametrize(
    ("setting", "extras"),
    [
        ("", []),
        ("STORAGE_URL=", []),
        ("STORAGE_URL=s3://bucket", ["s3"]),
        ("IMAGE_HOST_STORAGE_URL=s3://bucket", ["s3"]),
        ("STORAGE_PREVIOUS_URL=s3://bucket", ["s3"]),
        ("REDIS_URL=redis://cache", ["cache"]),
    ],
)
def test_an_extra_is_installed_where_a_setting_asks_for_it(
    tmp_path: Path, command: str, setting: str, extras: list[str]
) -> None:
    name, _, value = setting.partition("=")
    on_the_command_line = [setting] if setting else []
    in_the_environment = {name: value} if setting else {}
    assert planned(tmp_path, command, *on_the_command_line) == [*FRESH, *extras]
    assert planned(tmp_path, command, **in_the_environment) == [*FRESH, *extras]
    (tmp_path / ".env").write_text(f"PORT=8000\n{setting}\n")
    assert planned(tmp_path, command) == [*FRESH, *extras]


@pytest.mark.parametrize(
    ("line", "is_set"),
    [
        ("export STORAGE_URL=s3://bucket", True),
        ("  STORAGE_URL = s3://bucket", True),
        ('STORAGE_URL="s3://bucket"', True),
        ("STORAGE_URL='s3://bucket'", True),
        ("storage_url=s3://bucket", True),
        ("#STORAGE_URL=s3://bucket", False),
        ("STORAGE_URL= # s3://bucket", False),
        ('STORAGE_URL=""', False),
        ("OTHER_STORAGE_URL=s3://bucket", False),
        ("STORAGE_URL_OF_OTHERS=s3://bucket", False),
    ],
)
def test_a_line_of_the_file_of_settings_asks_for_an_extra_as_the_service_reads_it(
    tmp_path: Path, line: str, is_set: bool
) -> None:
    (tmp_path / ".env").write_text(f"{line}\n")
    assert planned(tmp_path, "run") == ([*FRESH, "s3"] if is_set else FRESH)


def test_both_extras_are_installed_where_both_are_asked_for(tmp_path: Path) -> None:
    settings = ("REDIS_URL=redis://cache", "STORAGE_URL=s3://bucket")
    assert planned(tmp_path, "run", *settings) == [*FRESH, "cache", "s3"]


def test_an_extra_that_is_installed_is_installed_again_only_after_its_lock_has_changed(
    tmp_path: Path,
) -> None:
    venv = tmp_path / ".venv"
    (venv / "bin").mkdir(parents=True)
    newest = max(file.stat().st_mtime for file in (ROOT / "backend" / "locks").iterdir())
    for seconds, name in enumerate(("bin/python", ".run", ".s3"), 1):
        (venv / name).touch()
        os.utime(venv / name, (newest + seconds, newest + seconds))
    assert planned(tmp_path, "run", "STORAGE_URL=s3://bucket") == []
    os.utime(venv / ".s3", (0, 0))
    assert planned(tmp_path, "run", "STORAGE_URL=s3://bucket") == ["s3"]
    assert planned(tmp_path, "run") == []
