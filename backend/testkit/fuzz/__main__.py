"""Coverage-guided fuzzing of what reads clients' bytes.

    pip install atheris
    python -m testkit.fuzz TARGET [options of libFuzzer, such as -runs=1000000 and -seed=1]

in the folder of the backend. A target is `forms` (multipart, file names), `header-TYPE` (the walk
over a file's parts, and the search for its end) or `strip-TYPE`, such as `strip-jpeg`. An execution
of more than 5 seconds or 1 GiB counts as a failure. docs/reliability.md has the last run.
"""

import logging
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["app", "python_multipart"]):
    from app.imaging.formats import ImageType
    from app.imaging.stripping.strippers import STRIPPERS
    from testkit.fuzz import forms, headers, stripping

TARGETS: dict[str, Callable[[atheris.FuzzedDataProvider], None]] = {
    "forms": forms.fuzz,
    **{
        f"header-{kind.name.lower()}": partial(headers.fuzz, kind)
        for kind in ImageType
        if kind is not ImageType.HEIC  # whose walk is that of AVIF
    },
    **{f"strip-{kind.name.lower()}": partial(stripping.fuzz, kind) for kind in STRIPPERS},
}
LIMITS = ("-timeout=5", "-rss_limit_mb=1024", "-max_len=600", "-len_control=0")
SEEDS, SEED_BYTES = 200, 300
"""Of the first inputs, long enough for several parts."""


def main() -> None:
    """Fuzz the target that is named."""
    program, *arguments = sys.argv
    if not arguments or arguments[0] not in TARGETS:
        sys.exit(f"{__doc__}\nTargets: {', '.join(TARGETS)}")
    target = TARGETS[arguments[0]]
    logging.disable()
    with TemporaryDirectory() as folder:
        for number in range(SEEDS):
            seed = Random(number).randbytes(SEED_BYTES)  # noqa: S311 - the same in each run
            Path(folder, str(number)).write_bytes(seed)
        atheris.Setup(
            [program, *LIMITS, *arguments[1:], folder],
            lambda data: target(atheris.FuzzedDataProvider(data)),
        )
        atheris.Fuzz()


if __name__ == "__main__":
    main()
