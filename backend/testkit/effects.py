"""What a process does to the system, announced just before; and its death at a chosen moment.

Files are watched by an audit hook, which Python calls before every change of a folder whichever
function asks for it: an effect that somebody adds one day is seen without a change here. Python
reports nothing of writes and fsync, so these are wrapped.

Two processes carry out an upload: the service, and the one that writes its files. They count in
one file, and die together. Nothing but the standard library is needed here, for the second one.
"""

import os
import signal
import stat
import sys
from pathlib import Path
from typing import Any

from testkit.descriptors import path_of

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Effects:
    """Announces each effect, and ends both processes before a chosen one.

    Args:
        root: The folder of the images.
        kill_before: The number of that effect, the first being 1.
        count: A file with a byte for each effect so far.
        others: Processes that die with this one.
    """

    def __init__(self, root: Path, kill_before: int, count: Path, *others: int) -> None:
        self._root = root
        self._kill_before = kill_before
        self._count = os.open(count, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._others = others
        self._created: set[Path] = set()
        self._written: tuple[Path, int] | None = None

    def watch_files(self) -> None:
        effects = self
        fsync, pwrite = os.fsync, os.pwrite

        def watched_pwrite(descriptor: int, data: Any, offset: int) -> int:
            path = path_of(descriptor)
            if effects._written != (path, offset):  # else a filesystem that cannot write directly
                effects._written = path, offset
                effects.announce(f"write {effects._role(path)}")
            return pwrite(descriptor, data, offset)

        def watched_fsync(descriptor: int) -> None:
            path = path_of(descriptor)
            assert path.is_dir() == stat.S_ISDIR(os.fstat(descriptor).st_mode)
            effects.announce(f"fsync {effects._role(path)}")
            fsync(descriptor)

        vars(os)["pwrite"] = watched_pwrite
        vars(os)["fsync"] = watched_fsync
        sys.addaudithook(self._audit)

    def announce(self, effect: str) -> None:
        say(effect)
        os.write(self._count, b".")
        if os.fstat(self._count).st_size >= self._kill_before:  # others may have counted since
            for process in (*self._others, os.getpid()):
                os.kill(process, signal.SIGKILL)

    def _role(self, path: Path) -> str:
        """Return what a path is for; keys are random."""
        match path.relative_to(self._root).parts:
            case ["staging"]:
                return "staging folder"
            case ["staging", _]:
                return "staged file"
            case [_]:
                return "published folder"
            case [_, _]:
                return "published file"
        return str(path)

    def _audit(self, name: str, args: tuple[Any, ...]) -> None:
        if not args or not isinstance(args[0], str | os.PathLike):
            return
        path = Path(os.fsdecode(args[0]))
        if not path.is_relative_to(self._root):
            return
        if name == "open":
            if args[2] & _CHANGES and path not in self._created:
                self._created.add(path)
                self.announce(f"create {self._role(path)}")
        elif name.startswith("os."):
            self.announce(f"{name.removeprefix('os.')} {self._role(path)}")


def say(line: str) -> None:
    """Write past every buffer, for what is in one dies with the process."""
    os.write(1, f"{line}\n".encode())
