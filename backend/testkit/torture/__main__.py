"""Kill and stop the real service, its workers, database, storage, cache and nginx, under load.

What it promises is checked again and again: each 201 is downloadable byte for byte; of a deleted
image nothing is served from the answer on, by any server process or by nginx, and a renamed one has
its name; each listed one opens, and has its three thumbnails or a reason why not; no job is lost;
and after `fsck --repair` storage and database agree exactly.
"""

import argparse
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from tempfile import mkdtemp

from testkit.torture.run import Options, torture


def main() -> None:
    parser = argparse.ArgumentParser(prog="make torture", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))  # noqa: S311
    parser.add_argument(
        "--deletes",
        type=int,
        default=0,
        help="acknowledged deletes after which it ends, instead of kills; clients do little else",
    )
    parser.add_argument("--s3", action="store_true", help="images in Ceph, which is killed too")
    parser.add_argument("--lean", action="store_true", help="without a cache and nginx")
    given = parser.parse_args()
    options = Options(
        given.seed,
        given.kills,
        given.deletes,
        with_cache=not given.lean,
        with_front=not given.lean,
        with_s3=given.s3,
    )
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # also then, stop what runs
    print(options)
    begin = time.monotonic()
    folder = Path(mkdtemp(prefix="torture-"))
    print(f"What is left after a failure: {folder}")
    counts = torture(folder, options)
    for name, number in sorted(counts.items()):
        print(f"{number:8} {name}")
    print(f"Every promise was kept, in {time.monotonic() - begin:.0f} s.")
    shutil.rmtree(folder)


if __name__ == "__main__":
    main()
