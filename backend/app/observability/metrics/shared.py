"""Metrics that several processes of a service share (ADR 68)."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from struct import Struct
from typing import Final

from prometheus_client import values
from prometheus_client.mmap_dict import MmapedDict, mmap_key

from app.observability.metrics.folder import VARIABLE
from app.observability.metrics.observer import MetricsObserver

_RESERVED: Final = {"histogram": 1 << 21, "counter": 1 << 16, "gauge_livesum": 1 << 16}
"""Bytes of each file of a process: more than it needs if clients try each method on each route."""
_DOUBLE: Final = Struct("d")


def shared_observer(place: str) -> MetricsObserver:
    """Return the observer of a process, which goes on with the counts of the one before it.

    Args:
        place: Of the process among those of the service; no two that run have the same.

    Raises:
        OSError: If there is no room for what it counts.
    """
    for kind, size in _RESERVED.items():
        _reserve(Path(os.environ[VARIABLE], f"{kind}_{place}.db"), size)
    values.ValueClass = partial(_Value, place, {})
    return MetricsObserver(registry=None)


class _Value:
    """A value in the file of a process, for the thread that has made it.

    prometheus-client's own takes twice the time: it locks, and looks whether it was forked.
    """

    def __init__(  # noqa: PLR0913, PLR0917 - as prometheus-client calls it
        self,
        place: str,
        files: dict[str, MmapedDict],
        kind: str,
        metric: str,
        name: str,
        labels: Sequence[str],
        label_values: Sequence[str],
        text: str,
        multiprocess_mode: str = "",
        **_options: object,
    ) -> None:
        if multiprocess_mode:
            kind = f"{kind}_{multiprocess_mode}"
        if kind not in files:
            files[kind] = MmapedDict(f"{os.environ[VARIABLE]}/{kind}_{place}.db")  # type: ignore[no-untyped-call]
        self._file = files[kind]
        key = mmap_key(metric, name, list(labels), list(label_values), text)
        self._value: float = self._file.read_value(key)[0]  # type: ignore[no-untyped-call]
        begin = self._file._positions[key]  # noqa: SLF001 - found once, not at each count
        self._span = slice(begin, begin + _DOUBLE.size)

    def get(self) -> float:
        """Return it."""
        return self._value

    def set(self, value: float, timestamp: float | None = None) -> None:  # noqa: ARG002 - the same
        """Set it."""
        self._value = value
        self._file._m[self._span] = _DOUBLE.pack(value)  # noqa: SLF001 - another map when it grows

    def inc(self, amount: float) -> None:
        """Add to it."""
        self._value += amount
        self._file._m[self._span] = _DOUBLE.pack(self._value)  # noqa: SLF001 - the same


def _reserve(file: Path, size: int) -> None:
    """Make a file, unless it is there, with room that nobody else can take.

    prometheus-client maps files with holes: with no memory left for them, counting would end the
    process (SIGBUS). And it makes them empty first, as which they cannot be read at a scrape.
    """
    if file.exists():
        return
    made = file.with_suffix(".new")
    made.write_bytes(bytes(size))  # macOS has no posix_fallocate
    made.rename(file)
