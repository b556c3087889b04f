"""Measures the service against the usual way and against the limits of its framework.

Starts the real service with its embedded PostgreSQL, the references of bench/references.py over
the same data, and nginx where it is installed; asks with wrk, which comes from Debian and is
installed where it is missing (needs root). All runs on this machine and takes turns: wrk and the
server that is asked share its cores.
"""

import argparse
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final, Never

from tqdm import tqdm

from app.database.embedded import EmbeddedDatabaseError
from bench import machine, report, servers, wrk
from bench.site import Site
from bench.work import Sample, Work
from bench.works import WORKS

ROUNDS: Final = 3
SECONDS: Final = 4.0
PROJECT: Final = Path(__file__).parents[2]


def main() -> int:
    """Measure what the arguments ask for; return the exit status.

    What was measured before a failure is written all the same.
    """
    options = _arguments()
    begin = time.monotonic()
    measured: dict[Work, dict[str, list[Sample]]] = {}
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # also then, stop all servers
    try:
        wrk.require_wrk()
        if not servers.has_nginx():
            print("nginx is missing; its rows are left out (apt-get install nginx-light)")
        with folder_of(options.keep) as folder, ExitStack() as opened:
            site = Site(folder, opened)
            works = options.only or WORKS
            with tqdm(total=len(works) * options.rounds, unit=" rounds", disable=None) as bar:
                for work in works:
                    bar.set_description(work.name)
                    measured[work] = _measure(work, site, options, bar)
                    tqdm.write(report.line(work, measured[work]))
    except (wrk.BenchmarkFailed, EmbeddedDatabaseError) as error:
        print(error, file=sys.stderr)
        return 1
    finally:
        if measured:
            described = machine.describe()
            report.write_json(options.json, measured, described)
            print(f"\n{report.table(measured, described)}\n")
            print(f"{time.monotonic() - begin:.0f} s; the same, with each run: {options.json}")
    return 0


def _measure(
    work: Work, site: Site, options: argparse.Namespace, bar: "tqdm[Never]"
) -> dict[str, list[Sample]]:
    """Run the contenders of a work in turn."""
    with work.open(site) as contenders:
        samples: dict[str, list[Sample]] = {name: [] for name in contenders.repeated}
        for _ in range(options.rounds):
            for name, contender in contenders.repeated.items():
                samples[name].append(contender(options.seconds))
            bar.update()
        if not options.only:
            for name, contender in contenders.once.items():
                samples[name] = [contender(options.seconds)]
    return samples


@contextmanager
def folder_of(keep: Path | None) -> Iterator[Path]:
    """Give the folder to work in; one that need not be kept is removed at the end.

    It lies on the disk of the project, as the service's data does: the system's folder for
    temporary files may be no disk, and fsync would cost nothing there.
    """
    if keep:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()
    else:
        with TemporaryDirectory(prefix="bench-", dir=PROJECT) as folder:
            yield Path(folder)


def _arguments() -> argparse.Namespace:
    names = ", ".join(work.name for work in WORKS)
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, epilog=f"Works: {names}."
    )
    parser.add_argument(
        "--only",
        type=_works,
        metavar="WORK,…",
        help="measure only these works, without the limits that are shown for orientation",
    )
    parser.add_argument("--rounds", type=int, default=ROUNDS, help=f"of each work ({ROUNDS})")
    parser.add_argument(
        "--seconds", type=float, default=SECONDS, help=f"of each run of wrk ({SECONDS:g})"
    )
    parser.add_argument(
        "--keep", type=Path, metavar="FOLDER", help="keep the data there, and use it next time"
    )
    parser.add_argument(
        "--json", type=Path, default=PROJECT / "bench.json", help="where the JSON goes"
    )
    return parser.parse_args()


def _works(names: str) -> Sequence[Work]:
    """Return the works of these names; one that is none stands for those that begin with it."""
    works = []
    for name in names.split(","):
        found = [work for work in WORKS if work.name == name]
        found = found or [work for work in WORKS if work.name.startswith(f"{name}-")]
        if not found:
            raise argparse.ArgumentTypeError(f"there is no work {name}")
        works += found
    return works


if __name__ == "__main__":
    sys.exit(main())
