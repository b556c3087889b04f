"""Kill and stop the real service, its workers, its database and its disk while clients work.

What it promises is checked again and again: each 201 is downloadable byte for byte, each deleted
image stays gone, each renamed one has its name; each listed one opens, and has its three thumbnails
or a reason why not; no job is lost; and after `fsck --repair` storage and database agree exactly.
"""

import argparse
import random
import shutil
import time
from pathlib import Path
from tempfile import mkdtemp

from testkit.torture.run import torture


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    options = parser.parse_args()
    print(f"{options.kills} kills, seed {options.seed}")
    begin = time.monotonic()
    folder = Path(mkdtemp(prefix="torture-"))
    print(f"What is left after a failure: {folder}")
    counts = torture(folder, options.kills, options.seed)
    for name, number in sorted(counts.items()):
        print(f"{number:8} {name}")
    print(f"Every promise was kept, in {time.monotonic() - begin:.0f} s.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
