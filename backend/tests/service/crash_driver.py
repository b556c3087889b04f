"""Runs uploads and deletes in processes that kill themselves just before a chosen system effect.

A process of its own, led by lines of JSON on standard input (`Orders`) and answering with lines on
standard output: each effect when it is about to happen, and `end`. Each order is carried out by a
fork of this process, which has loaded everything but opened nothing, so that one takes no longer
than the work itself.

Files are watched by an audit hook, which Python calls before every change of a folder whichever
function asks for it: an effect that somebody adds one day is seen without a change here. Python
tells nothing of write and fsync, so these two are wrapped.
"""

import asyncio
import json
import os
import signal
import stat
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, NamedTuple, TypedDict
from uuid import UUID

from sqlalchemy import event

from app.database import Database
from app.models import Image
from app.services.image_service import ImageService, UploadLimits
from app.services.storage.files import BLOCK
from app.services.storage.local import LocalStorage
from tests.forms import split, stream

LIMITS = UploadLimits(max_upload_bytes=100 * BLOCK, batch_max_files=9, uploads_per_hour_per_ip=0)
ACKNOWLEDGE = "acknowledge"
"""The last effect: the caller is told. What follows it on the line is what it is told."""
PIECE = 50_000
"""Bytes that arrive at once; not a divisor of anything."""

_CHANGES = os.O_WRONLY | os.O_RDWR | os.O_CREAT


class Orders(TypedDict):
    """What to do, where, and before which effect to die (1 is the first)."""

    action: str
    url: str
    root: str
    kill_before: int
    files: list[str]
    image_id: str


class File(NamedTuple):
    filename: str
    chunks: AsyncIterator[bytes]


class Effects:
    """Announces each effect, and ends the process before the one that it is told."""

    def __init__(self, root: Path, kill_before: int) -> None:
        self._root = root
        self._left = kill_before
        self._watching = False
        self._created: set[Path] = set()

    def watch(self, database: Database) -> None:
        effects = self
        fsync, write = os.fsync, os.write

        def watched_write(descriptor: int, data: Any) -> int:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            if path.is_relative_to(effects._root):
                effects.announce(f"write {effects.role(path)}")
            return write(descriptor, data)

        def watched_fsync(descriptor: int) -> None:
            path = Path(f"/proc/self/fd/{descriptor}").readlink()
            assert path.is_dir() == stat.S_ISDIR(os.fstat(descriptor).st_mode)
            effects.announce(f"fsync {effects.role(path)}")
            fsync(descriptor)

        vars(os)["write"] = watched_write
        vars(os)["fsync"] = watched_fsync
        sys.addaudithook(self._audit)
        engine = database._engine.sync_engine
        event.listen(engine, "before_cursor_execute", self._execute)
        event.listen(engine, "commit", lambda _connection: self.announce("COMMIT"))
        self._watching = True

    def announce(self, effect: str) -> None:
        say(effect)
        self._left -= 1
        if not self._left:
            die()

    def role(self, path: Path) -> str:
        """Tell what a path is for; keys are random."""
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
        if not self._watching or not args or not isinstance(args[0], str | os.PathLike):
            return
        path = Path(os.fsdecode(args[0]))
        if not path.is_relative_to(self._root):
            return
        if name == "open":
            if args[2] & _CHANGES and path not in self._created:
                self._created.add(path)
                self.announce(f"create {self.role(path)}")
        elif name.startswith("os."):
            self.announce(f"{name.removeprefix('os.')} {self.role(path)}")

    def _execute(self, _connection: object, _cursor: object, statement: str, *_: object) -> None:
        self.announce(statement.split(maxsplit=1)[0])


def main() -> None:
    for line in sys.stdin:
        orders: Orders = json.loads(line)
        child = os.fork()
        if not child:
            asyncio.run(carry_out(orders))
            die()
        _, status = os.waitpid(child, 0)
        say(f"end {os.waitstatus_to_exitcode(status)}")


async def carry_out(orders: Orders) -> None:
    root = Path(orders["root"])
    files = [Path(name) for name in orders["files"]]
    incoming = [File(file.name, stream(split(file.read_bytes(), PIECE))) for file in files]
    database = Database(orders["url"])
    storage = LocalStorage(root)
    await storage.check()
    service = ImageService(database, storage, LIMITS)
    effects = Effects(root, orders["kill_before"])
    effects.watch(database)

    told: list[str] = []
    match orders["action"]:
        case "upload":
            told.append(str((await service.upload(incoming[0], None)).id))
        case "batch":
            results = await service.upload_batch(one_by_one(incoming), None)
            told += [str(result.id) for result in results if isinstance(result, Image)]
        case "delete":
            await service.delete(UUID(orders["image_id"]))
    effects.announce(ACKNOWLEDGE)
    say(" ".join(["acknowledged", *told]))


async def one_by_one(files: list[File]) -> AsyncIterator[File]:
    for file in files:
        yield file


def say(line: str) -> None:
    """Write past every buffer, for what is in one dies with the process."""
    os.write(sys.stdout.fileno(), f"{line}\n".encode())


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
