"""Disks that hang, refuse calls or are lost: real ones, which only root may mount."""

import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from app.storage.local import backend, calls, process, staged_file, writer
from testkit import fuse_server

_FREEZE = 0xC0045877
"""FIFREEZE of linux/fs.h: all that writes waits, not to be interrupted, until it is thawed."""
_THAW = 0xC0045878
_DISK_BYTES = 32 * 1024 * 1024


class CannotMount(Exception):
    """This may only be done by root, with a loop device."""


class FrozenDisk:
    """An ext4 filesystem on which nobody can write for a time, or that breaks for good."""

    def __init__(self, folder: Path, image: Path) -> None:
        self.folder = folder
        self._image = image

    def break_down(self) -> None:
        """Let all that is read or written fail from now on (EIO); what is cached can be read."""
        os.truncate(self._image, 0)

    def freeze(self) -> None:
        self._control(_FREEZE)

    def thaw(self) -> None:
        self._control(_THAW)

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _control(self, command: int) -> None:
        folder = os.open(self.folder.parent, os.O_RDONLY)
        try:
            fcntl.ioctl(folder, command, 0)
        finally:
            os.close(folder)


@contextmanager
def disk_that_freezes(folder: Path) -> Iterator[FrozenDisk]:
    """Mount a disk of its own below a folder; skip the test where that cannot be done."""
    with ExitStack() as mounted:
        try:
            disk = mounted.enter_context(mounted_disk(folder, _DISK_BYTES))
        except CannotMount as error:
            pytest.skip(f"NOT TESTED: a disk that hangs; none can be mounted: {error}")
        yield disk


@contextmanager
def mounted_disk(folder: Path, size: int) -> Iterator[FrozenDisk]:
    """Mount a disk of so many bytes below a folder.

    Raises:
        CannotMount: Where that cannot be done.
    """
    image, mounted = folder / "disk", folder / "mounted"
    mounted.mkdir()
    with image.open("wb") as file:
        file.truncate(size)
    try:
        _run("mkfs.ext4", "-q", str(image))
        _run("mount", "-o", "loop", str(image), str(mounted))
    except (OSError, subprocess.CalledProcessError) as error:
        raise CannotMount(str(error)) from error
    try:
        yield FrozenDisk(mounted / "data", image)
    finally:
        _run("umount", "--lazy", str(mounted))


class NetworkDisk:
    """A folder behind a server."""

    def __init__(self, folder: Path, server: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self._server = server

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """Have all that needs the server wait for it."""
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.go_on()

    def go_on(self) -> None:
        """Let the server answer again."""
        self._server.send_signal(signal.SIGCONT)

    def lose(self) -> None:
        """End the server; its folder stays where it was mounted."""
        self._server.kill()
        self._server.wait()


@contextmanager
def network_disk(folder: Path, *failures: str) -> Iterator[NetworkDisk]:
    """Mount a folder behind a server, whose calls fail as given (`FSYNCDIR=EINVAL`)."""
    source, mounted = folder / "source", folder / "mounted"
    source.mkdir()
    mounted.mkdir()
    command = [sys.executable, fuse_server.__file__, str(source), str(mounted), *failures]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as server:
        assert server.stdout
        assert server.stderr
        if server.stdout.readline() != b"mounted\n":
            why = server.stderr.read().decode().strip().splitlines()[-1]
            pytest.skip(f"NOT TESTED: a network disk; none can be mounted: {why}")
        try:
            yield NetworkDisk(mounted / "data", server)
        finally:
            server.kill()
            _run("umount", "--lazy", str(mounted))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


@contextmanager
def disk_deadlines(seconds: float) -> Iterator[None]:
    """Let every call that waits for the disk have a timeout of so many seconds in the block."""
    with pytest.MonkeyPatch.context() as patch:
        set_deadlines(patch, seconds)
        yield


def set_deadlines(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    """Set every timeout of calls that wait for the disk."""
    for module, name in (
        (calls, "DISK_SECONDS"),
        (writer, "DISK_SECONDS"),
        (writer, "ANSWER_SECONDS"),
        (writer, "BUSY_SECONDS"),
        (backend, "PROBE_SECONDS"),
        (staged_file, "DISCARD_SECONDS"),
        (process, "KILL_SECONDS"),
    ):
        monkeypatch.setattr(module, name, seconds)
