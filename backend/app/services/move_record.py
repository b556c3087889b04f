"""What a move has verified, in a file, so that one that was killed need not begin again."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path


class MoveInProgress(Exception):
    """Another process has the record of this move."""

    def __init__(self) -> None:
        super().__init__("another move between these storages is running")


@dataclass
class MoveRecord:
    """How far a move is."""

    file: Path
    verified: str = ""
    """All objects of the source with keys up to this one were compared, but the doubtful ones."""
    doubtful: set[str] = field(default_factory=set)
    """Keys of those that are being copied, or did not compare."""

    def write(self) -> None:
        """Write the record durably, in place of the previous one."""
        fresh = self.file.with_suffix(".new")
        content = {"verified": self.verified, "doubtful": sorted(self.doubtful)}
        with fresh.open("w") as file:
            json.dump(content, file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self.file)


@contextmanager
def move_record(folder: Path, source: str, destination: str) -> Iterator[MoveRecord]:
    """Read the record of a move between two storages, and keep it for this process.

    Args:
        folder: Where records are, which is made if need be.
        source: Location of the one.
        destination: Location of the other.

    Raises:
        MoveInProgress: If another process has it.
        OSError: If it cannot be read or written.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    name = sha256(f"{source}\n{destination}".encode()).hexdigest()[:16]
    with (folder / f"{name}.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise MoveInProgress from error
        record = MoveRecord(folder / f"{name}.json")
        if record.file.exists():
            content = json.loads(record.file.read_text())
            record.verified, record.doubtful = content["verified"], set(content["doubtful"])
        yield record
