"""The program of the writer process, which announces what it does: see `effects`.

The environment's WATCHED names, in JSON, the root, the effect before which to die, and the count.
"""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from app.storage.local import writer_program
from testkit.effects import Effects

if __name__ == "__main__":
    root, kill_before, count = json.loads(os.environ["WATCHED"])
    Effects(Path(root), kill_before, Path(count), os.getppid()).watch_files()
    writer_program.main(*map(int, sys.argv[1:]))
