"""The program of the writer process, over a disk that fails as a test wants.

The faults are JSON in the file that WRITER_FAULTS names, written by `testkit.faulty_disk`; it
is read again for each batch, and where there is no file, nothing fails.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.storage.local import writer_program
from testkit.descriptors import path_of

FAULTS = Path(os.environ["WRITER_FAULTS"])


class Disk:
    """Wraps the functions of the system that the program uses."""

    def __init__(self) -> None:
        self._faults: dict[str, Any] = {}
        self._fsync, self._rename, self._carry_out = os.fsync, os.rename, writer_program.carry_out

    def wrap_the_system(self) -> None:
        vars(os).update(fsync=self.fsync, rename=self.rename)
        vars(writer_program)["carry_out"] = self.carry_out

    def carry_out(self, *args: Any) -> list[writer_program.Outcome]:
        try:
            self._faults = json.loads(FAULTS.read_text())
        except FileNotFoundError:
            self._faults = {}
        user = self._faults.get("user")
        if user:
            os.seteuid(user)
        try:
            return self._carry_out(*args)
        finally:
            if user:
                os.seteuid(0)

    def fsync(self, descriptor: int) -> None:
        self._fail("fsync of folder" if path_of(descriptor).is_dir() else "fsync of file")
        self._fsync(descriptor)

    def rename(self, *names: Any) -> None:
        self._fail("rename")
        self._rename(*names)

    def _fail(self, step: str) -> None:
        if self._faults.get("step") != step:
            return
        if number := self._faults["errno"]:
            raise OSError(number, os.strerror(number))
        FAULTS.with_suffix(".reached").touch()
        while FAULTS.exists():
            time.sleep(0.01)


if __name__ == "__main__":
    Disk().wrap_the_system()
    writer_program.main(*map(int, sys.argv[1:]))
