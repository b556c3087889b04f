"""The command that runs Prometheus and its Alertmanager: `python -m app monitoring`."""

import argparse
import asyncio
import json
import shutil
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, NamedTuple

from app.config.settings import Settings
from app.runtime import signals

EXIT_STOPPED: Final = 0
EXIT_FAILED: Final = 1

_CONFIGURATION: Final = Path(__file__).resolve().parents[3] / "deploy" / "prometheus"
_FILES: Final = ("prometheus.yml", "rules.yml", "alertmanager.yml")
_HOST: Final = "127.0.0.1"
_ANY_ADDRESS: Final = {"0.0.0.0": _HOST, "::": "::1"}  # noqa: S104 - replaced
_MOST_BYTES: Final = "2GB"
"""Of what Prometheus has recorded; the oldest of it is removed."""
_READY_SECONDS: Final = 0.2
"""Between two looks at whether the programs are ready."""
_STOP_SECONDS: Final = 10
"""How long a program may take to end before it is killed."""


class _Program(NamedTuple):
    """One of the two."""

    name: str
    path: str | None
    """None = it is not installed."""
    port: int
    arguments: Sequence[str]


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Run both in the foreground, until a signal ends them.

    Returns:
        0 = a signal has ended them, 1 = they cannot run, and why.
    """
    folder = settings.data_dir.resolve() / "monitoring"
    programs = _programs(folder, options.port, options.alertmanager_port)
    refusal = _refusal(settings, programs)
    if refusal:
        print(refusal, file=sys.stderr)
        return EXIT_FAILED
    _write_configuration(folder, _metrics_of(settings), options.alertmanager_port)
    return signals.run(_run(programs, _metrics_of(settings)))


def _programs(folder: Path, port: int, alertmanager_port: int) -> tuple[_Program, _Program]:
    """Return the two programs, all of whose files are in a folder."""
    prometheus = (
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'recorded'}",
        f"--storage.tsdb.retention.size={_MOST_BYTES}",
        f"--web.listen-address={_HOST}:{port}",
        # Else any page that a browser on this machine shows could read what is recorded.
        rf"--web.cors.origin=http://{_HOST}:{port}",
        "--log.level=warn",
    )
    alertmanager = (
        f"--config.file={folder / 'alertmanager.yml'}",
        f"--storage.path={folder / 'alertmanager'}",
        f"--web.listen-address={_HOST}:{alertmanager_port}",
        "--cluster.listen-address=",  # there is one, and it listens for no others
        "--log.level=warn",
    )
    return (
        _Program("Prometheus", shutil.which("prometheus"), port, prometheus),
        _Program(
            "Alertmanager",
            shutil.which("prometheus-alertmanager") or shutil.which("alertmanager"),
            alertmanager_port,
            alertmanager,
        ),
    )


def _refusal(settings: Settings, programs: Sequence[_Program]) -> str:
    """Return why the programs cannot be run; empty if they can."""
    missing = " and ".join(program.name for program in programs if not program.path)
    taken = next((program for program in programs if _is_taken(program.port)), None)
    refusals = {
        "The service has no metrics: set METRICS_ADDRESS=127.0.0.1:9464, and start it again.": (
            not settings.metrics_address
        ),
        f"There is no {_CONFIGURATION}, which has the configuration.": (
            not _CONFIGURATION.is_dir()
        ),
        f"There is no {missing}: install it, on Debian and Ubuntu with "
        "apt install --no-install-recommends prometheus prometheus-alertmanager.": bool(missing),
        f"Port {taken and taken.port} of {_HOST} is in use; "
        'set ARGS="--port 9091 --alertmanager-port 9094".': taken is not None,
    }
    return next((sentence for sentence, is_so in refusals.items() if is_so), "")


def _is_taken(port: int) -> bool:
    try:
        with socket.create_server((_HOST, port)):
            return False
    except OSError:
        return True


def _metrics_of(settings: Settings) -> str:
    """Return host and port where the service answers for its metrics."""
    host, port = settings.metrics_listener
    host = _ANY_ADDRESS.get(host, host)
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _write_configuration(folder: Path, metrics: str, alertmanager_port: int) -> None:
    """Write what both are configured by: as elsewhere, but for the addresses."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for name in _FILES:
        shutil.copyfile(_CONFIGURATION / name, folder / name)
    (folder / "targets").mkdir(exist_ok=True)
    addresses = {"image-host": metrics, "alertmanager": f"{_HOST}:{alertmanager_port}"}
    for name, address in addresses.items():
        targets = json.dumps([{"targets": [address]}])
        (folder / "targets" / f"{name}.yml").write_text(targets, "utf-8")


async def _run(programs: Sequence[_Program], metrics: str) -> int:
    stopping = asyncio.ensure_future(signals.stop_event(*signals.ENDING).wait())
    processes = {program.name: await _start(program) for program in programs}
    ends = {asyncio.ensure_future(one.wait()): name for name, one in processes.items()}
    announcing = asyncio.ensure_future(_announce(programs, metrics))
    try:
        done, _ = await asyncio.wait((stopping, *ends), return_when=asyncio.FIRST_COMPLETED)
    finally:
        announcing.cancel()
        await asyncio.gather(*map(_stop, processes.values()))
    if stopping in done:
        return EXIT_STOPPED
    ended = " and ".join(name for end, name in ends.items() if end in done)
    print(f"{ended} has ended by itself; the lines above say why.", file=sys.stderr)
    return EXIT_FAILED


async def _start(program: _Program) -> Process:
    assert program.path  # noqa: S101 - `_refusal` has looked
    # Killed, this process ends nothing any more: where it is Linux, the system does.
    setpriv = shutil.which("setpriv")
    with_us = (setpriv, "--pdeathsig", "TERM") if setpriv else ()
    return await asyncio.create_subprocess_exec(*with_us, program.path, *program.arguments)


async def _announce(programs: Sequence[_Program], metrics: str) -> None:
    """Print where to look, when both are ready."""
    for program in programs:
        while not await _is_ready(program.port):  # noqa: ASYNC110 - another program
            await asyncio.sleep(_READY_SECONDS)
    for program in programs:
        print(f"{program.name + ':':14}http://{_HOST}:{program.port}")
    print(f"{'Status:':14}http://{metrics}/status (of the service)", flush=True)


async def _is_ready(port: int) -> bool:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection(_HOST, port)
        try:
            writer.write(b"GET /-/ready HTTP/1.0\r\n\r\n")
            return b" 200 " in await reader.readline()
        finally:
            writer.close()
    return False


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(_STOP_SECONDS):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
