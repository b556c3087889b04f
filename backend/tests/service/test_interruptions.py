"""Ctrl-C, SIGTERM and a closed terminal, at any moment: one line, and nothing left half made."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from app.database.embedded import embedded_postgres
from app.storage.local.backend import LocalStorage
from testkit.databases import prepare
from testkit.live import TIMEOUT, wait_until
from testkit.service import ROOT

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


def run_and_interrupt(
    folder: Path, arguments: Sequence[str], number: signal.Signals, seconds: float, workers: int = 1
) -> tuple[int, str]:
    """Run a command in a session of its own, as a terminal does; give its status and output."""
    with (folder / "log").open("w+b") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [sys.executable, "-m", "app", *arguments],
            cwd=folder,
            env={
                "PATH": os.environ["PATH"],
                "PYTHONPATH": str(ROOT / "backend"),
                "PORT": "0",
                "WORKERS": str(workers),
            },
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
        wait_until(lambda: handles(process.pid, signal.SIGTERM) or process.poll() is not None)
        time.sleep(seconds)
        with suppress(ProcessLookupError):  # it has ended by itself, and that was seen
            os.killpg(process.pid, number)
        status = process.wait(TIMEOUT)
        log.seek(0)
        return status, log.read().decode()


def handles(pid: int, number: int) -> bool:
    """Return whether our code runs: before it does, Ctrl-C is the interpreter's affair."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return False
    (caught,) = [int(line.split()[1], 16) for line in lines if line.startswith("SigCgt")]
    return bool(caught >> (number - 1) & 1)


async def make_storage(data_dir: Path) -> None:
    storage = LocalStorage(data_dir / "images")
    await storage.prepare()
    await storage.close()


def processes_of(folder: Path) -> list[psutil.Process]:
    found = []
    for process in psutil.process_iter():
        try:
            if str(folder) in " ".join([*process.cmdline(), process.cwd()]):
                found.append(process)
        except psutil.Error:
            continue
    return found


@pytest.mark.parametrize("step", range(20))
def test_a_first_start_can_be_stopped_at_any_moment(tmp_path: Path, step: int) -> None:
    number = SIGNALS[step % 3]
    status, output = run_and_interrupt(tmp_path, [], number, step * 0.15, 1 + step % 2)
    assert "Traceback" not in output
    if "Image host:" in output:
        assert status == 0, output
    else:
        assert status == 128 + number, output
        last = f"Stopped by {number.name}; run the command again to go on."
        assert output.splitlines()[-1] == last
    assert not (tmp_path / "data" / "postgres.new").exists()
    assert not (tmp_path / "data" / "postgres" / "postmaster.pid").exists()
    wait_until(lambda: processes_of(tmp_path) == [])
    with embedded_postgres(tmp_path / "data" / "postgres") as url:
        asyncio.run(prepare(url))


@pytest.mark.parametrize("command", ["fsck", "migrate", "backfill-dimensions", "worker", "jobs"])
def test_a_command_can_be_stopped_at_any_moment(tmp_path: Path, command: str) -> None:
    with embedded_postgres(tmp_path / "data" / "postgres") as url:
        asyncio.run(prepare(url))
    asyncio.run(make_storage(tmp_path / "data"))
    stopped = 0
    for step in range(8):
        number = SIGNALS[step % 3]
        status, output = run_and_interrupt(tmp_path, [command], number, step * 0.3)
        assert "Traceback" not in output
        assert status in {0, 128 + number}, output
        if status:
            stopped += 1
            line = f"Stopped by {number.name}; run the command again to go on."
            assert line in output.splitlines()
        wait_until(lambda: processes_of(tmp_path) == [])
    assert stopped
