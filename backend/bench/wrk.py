"""The load generator: wrk, with one thread, because it shares two cores with what it measures."""

import json
import os
import resource
import shutil
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

CONNECTIONS: Final = 32

_SCRIPT: Final = Path(__file__).with_name("wrk.lua")
_TIMEOUT: Final = "60s"


class BenchmarkFailed(Exception):
    """Something was measured that is not what the table says, or nothing could be."""


@dataclass(frozen=True, slots=True)
class Load:
    """What to ask for, over and over."""

    url: str
    arguments: tuple[str, ...] = ("get",)
    """For `wrk.lua`."""
    headers: dict[str, str] = field(default_factory=dict)
    connections: int = CONNECTIONS
    answer_bytes: range = range(1, 1 << 40)
    """How many bytes an answer may take on the wire, on average; others are wrong answers."""


@dataclass(frozen=True, slots=True)
class Seen:
    """What wrk saw."""

    requests: int
    seconds: float
    p50: float
    """Milliseconds."""
    p99: float
    """Milliseconds."""
    cores: float = 0.0
    """What wrk itself took of the machine that it shares."""

    @property
    def rate(self) -> float:
        """Requests a second."""
        return self.requests / self.seconds


def run(load: Load, seconds: float) -> Seen:
    """Ask for `seconds` seconds, which wrk counts whole.

    Raises:
        BenchmarkFailed: If any answer was an error, or not of the size that the right one has.
    """
    before = _seconds_of_children()
    with start(load, seconds) as process:
        output, _ = process.communicate()
    seen = judge(load, output)
    return replace(seen, cores=(_seconds_of_children() - before) / seen.seconds)


def start(load: Load, seconds: float) -> subprocess.Popen[str]:
    """Begin to ask; `judge` its output."""
    headers = [f"--header={name}: {value}" for name, value in load.headers.items()]
    return subprocess.Popen(
        [
            *("wrk", "--threads=1", f"--connections={load.connections}", f"--timeout={_TIMEOUT}"),
            *(f"--duration={max(1, round(seconds))}s", f"--script={_SCRIPT}", *headers),
            *(load.url, "--", *load.arguments),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def judge(load: Load, output: str) -> Seen:
    """Read what wrk printed.

    Raises:
        BenchmarkFailed: As `run`.
    """
    _, found, line = output.partition("RESULT ")
    if not found:
        raise BenchmarkFailed(f"wrk did not measure {load.url}:\n{output}")
    result = json.loads(line)
    errors = {
        kind: result[kind]
        for kind in ("connect", "read", "write", "status", "timeout")
        if result[kind]
    }
    if errors:
        raise BenchmarkFailed(f"wrk saw errors from {load.url}: {errors}")
    if not result["requests"]:
        raise BenchmarkFailed(f"{load.url} answered nothing in time")
    size = result["bytes"] // result["requests"]
    if size not in load.answer_bytes:
        raise BenchmarkFailed(
            f"{load.url} sent {size} bytes an answer instead of {load.answer_bytes}"
        )
    return Seen(
        requests=result["requests"],
        seconds=result["microseconds"] / 1e6,
        p50=result["p50"] / 1e3,
        p99=result["p99"] / 1e3,
    )


def _seconds_of_children() -> float:
    """Return the processor time, in seconds, of all processes that this one started and saw end."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def require_wrk() -> None:
    """Install wrk from Debian where it is missing.

    Raises:
        BenchmarkFailed: If that cannot be done here.
    """
    if shutil.which("wrk"):
        return
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise BenchmarkFailed(
            "The load generator wrk is missing; install it: sudo apt-get install wrk"
        )
    print("Installing wrk from Debian", flush=True)
    try:
        for arguments in (["update"], ["install", "--yes", "--no-install-recommends", "wrk"]):
            subprocess.run(["apt-get", "-qq", *arguments], check=True)  # noqa: S607 - root's own
    except subprocess.CalledProcessError as error:
        raise BenchmarkFailed("wrk could not be installed: sudo apt-get install wrk") from error
