"""The metrics of all processes, read from their files and put together (ADR 68).

prometheus-client does that too, in ten times the processor time: it makes an object of each sample
of each process at each scrape. Here, what is where in a file is found out once, for the client only
appends to it; after that, all values of a file are one call.
"""

import json
from bisect import insort
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from struct import Struct
from typing import Final, NamedTuple

_USED: Final = Struct("i4x")
"""At the beginning of a file: how many bytes of it are used. Entries follow."""
_LENGTH: Final = Struct("i")
"""At the beginning of an entry: the bytes of its key, which is padded to a multiple of eight with
this. The value follows, and a time, of which nothing is made."""
_BYTES_OF_VALUE: Final = 16

Values = Sequence[float | None]
"""Of all samples, by their slots; None where there is no such sample now."""


class _Sample(NamedTuple):
    """A line of what is exposed."""

    bound: float
    """Of a bucket; else 0."""
    line: str
    """Up to the value."""
    slot: int


class _Family:
    """What is exposed of one metric."""

    def __init__(self, name: str, kind: str, text: str) -> None:
        exposed = f"{name}_total" if kind == "counter" else name
        self._head = f"# HELP {exposed} {text}\n# TYPE {exposed} {kind}\n"
        self._samples: list[_Sample] = []
        """Of a histogram, the sums."""
        self._buckets: dict[str, list[_Sample]] = {}
        """Of a histogram, in ascending order, by the line of their count."""

    def add(self, name: str, labels: dict[str, str], slot: int) -> None:
        """Add a sample."""
        bound = labels.get("le")
        sample = _Sample(float(bound or 0), _line(name, labels), slot)
        if bound is None:
            self._samples.append(sample)
            return
        del labels["le"]
        count = _line(f"{name.removesuffix('_bucket')}_count", labels)
        insort(self._buckets.setdefault(count, []), sample)

    def lines(self, values: Values) -> Iterator[str]:
        """Yield all lines; buckets add up, for each counts what the smaller ones do."""
        yield self._head
        for _, line, slot in self._samples:
            if (value := values[slot]) is not None:
                yield f"{line}{value}\n"
        for count, buckets in self._buckets.items():
            total = 0.0
            for _, line, slot in buckets:
                total += values[slot] or 0
                yield f"{line}{total}\n"
            yield f"{count}{total}\n"


def _line(name: str, labels: dict[str, str]) -> str:
    pairs = ",".join(f'{label}="{_escaped(value)}"' for label, value in sorted(labels.items()))
    return f"{name}{{{pairs}}} " if pairs else f"{name} "


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


class _File:
    """What is where in the file of a process."""

    def __init__(self) -> None:
        self.slots: list[int] = []
        """Of its values, in their order."""
        self._layout = f"={_USED.size}x"
        self._values = Struct(self._layout)

    def read(self, data: bytes, slot_of: Callable[[str], int]) -> tuple[float, ...]:
        """Return its values."""
        (used,) = _USED.unpack_from(data)
        end = self._values.size
        while end < used:
            (length,) = _LENGTH.unpack_from(data, end)
            begin = end + _LENGTH.size
            self.slots.append(slot_of(data[begin : begin + length].decode()))
            padded = length + 8 - (_LENGTH.size + length) % 8
            self._layout += f"{_LENGTH.size + padded}xd8x"
            end = begin + padded + _BYTES_OF_VALUE
        if end > self._values.size:
            self._values = Struct(self._layout)
        return self._values.unpack_from(data)


class MergedFiles:
    """All metrics in the files of a folder: what processes have of the same is added up.

    Args:
        folder: Where they are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._files: dict[Path, _File] = {}
        self._slots: dict[str, int] = {}
        """By what a sample is called in a file."""
        self._labels: dict[str, dict[int, dict[str, str]]] = {}
        """By the name of a sample and its slot."""
        self._families: dict[str, _Family] = {}

    def render(self) -> str:
        """Return them as Prometheus reads them."""
        sums = self._read()
        found = [sums.get(slot) for slot in range(len(self._slots))]
        return "".join(line for family in self._families.values() for line in family.lines(found))

    def samples(self, name: str) -> Iterator[tuple[Mapping[str, str], float]]:
        """Yield the labels and the value of each sample of a name; of a bucket without others."""
        sums = self._read()
        for slot, labels in self._labels.get(name, {}).items():
            yield labels, sums.get(slot, 0.0)

    def _read(self) -> dict[int, float]:
        """Return what the values add up to, by their slots."""
        sums: dict[int, float] = {}
        for path in sorted(self._folder.glob("*.db")):
            try:
                data = path.read_bytes()
            except FileNotFoundError:  # what a process had of something, which has just ended
                continue
            kind = path.name.partition("_")[0]
            # Only the files of gauges are removed, and made anew with others in them.
            file = _File() if kind == "gauge" else self._files.setdefault(path, _File())
            values = file.read(data, partial(self._slot, kind))
            for slot, value in zip(file.slots, values, strict=True):
                sums[slot] = sums.get(slot, 0.0) + value
        return sums

    def _slot(self, kind: str, key: str) -> int:
        slot = self._slots.get(key)
        if slot is None:
            slot = self._slots[key] = len(self._slots)
            metric, sample, labels, text = json.loads(key)
            self._labels.setdefault(sample, {})[slot] = dict(labels)
            if metric not in self._families:
                self._families[metric] = _Family(metric, kind, text)
            self._families[metric].add(sample, labels, slot)
        return slot
