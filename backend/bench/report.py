"""What was measured, as a table for people and as JSON for programs."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Final

from bench.work import Comparison, Sample, Work

Samples = Mapping[str, Sequence[Sample]]
"""What each contender of a work gave, round after round."""

_HEAD: Final = (
    *("work", "measured", "median (spread)", "against", "median (spread)"),
    *("unit", "ratio", "goal", "reached"),
)


def table(measured: Mapping[Work, Samples], machine: Mapping[str, str]) -> str:
    """Write medians, their spread (least to most) and the ratio of the medians."""
    lines = [
        _line(work, comparison, samples)
        for work, samples in measured.items()
        for comparison in work.comparisons
    ]
    limits = [
        (work.title, name, _figure(gave[0][comparison.unit]), comparison.unit)
        for work, samples in measured.items()
        for comparison in work.comparisons[:1]
        for name, gave in samples.items()
        if name not in _compared(work)
    ]
    parts = [_columns([_HEAD, *lines])]
    if limits:
        parts.append(_columns([("for orientation", "run once", "", ""), *limits]))
    parts.append(_columns(machine.items()))
    return "\n\n".join(parts)


def line(work: Work, samples: Samples) -> str:
    """Return in one line what came out of a work."""
    ratios = [
        f"{ratio(comparison, samples):.2f} x {comparison.reference} ({comparison.unit})"
        for comparison in work.comparisons
    ]
    return f"{work.title}: {', '.join(ratios)}"


def write_json(file: Path, measured: Mapping[Work, Samples], machine: Mapping[str, str]) -> None:
    """Write the same, with every single sample."""
    works = [
        {
            "name": work.name,
            "title": work.title,
            "comparisons": [
                {
                    "service": comparison.measured,
                    "against": comparison.reference,
                    "unit": comparison.unit,
                    "ratio": ratio(comparison, samples),
                    "at_least": comparison.at_least,
                    "at_most": comparison.at_most,
                    "reached": is_reached(comparison, samples),
                }
                for comparison in work.comparisons
            ],
            "samples": samples,
        }
        for work, samples in measured.items()
    ]
    file.write_text(json.dumps({"machine": machine, "works": works}, indent=1) + "\n")


def ratio(comparison: Comparison, samples: Samples) -> float:
    """Divide the medians."""
    measured = median(_values(comparison.measured, comparison, samples))
    return measured / median(_values(comparison.reference, comparison, samples))


def is_reached(comparison: Comparison, samples: Samples) -> bool | None:
    """Return whether the goal is reached; None where there is none."""
    found = ratio(comparison, samples)
    if comparison.at_least is not None:
        return found >= comparison.at_least
    return None if comparison.at_most is None else found <= comparison.at_most


def _line(work: Work, comparison: Comparison, samples: Samples) -> tuple[str, ...]:
    goal = "report"
    if comparison.at_least is not None:
        goal = f">= {comparison.at_least:.2g}"
    elif comparison.at_most is not None:
        goal = f"<= {comparison.at_most:.3g}"
    reached = {True: "yes", False: "NO", None: ""}[is_reached(comparison, samples)]
    return (
        work.title,
        comparison.measured,
        _spread(_values(comparison.measured, comparison, samples)),
        comparison.reference,
        _spread(_values(comparison.reference, comparison, samples)),
        comparison.unit,
        f"{ratio(comparison, samples):.2f}",
        goal,
        reached,
    )


def _values(name: str, comparison: Comparison, samples: Samples) -> list[float]:
    return [sample[comparison.unit] for sample in samples[name]]


def _compared(work: Work) -> set[str]:
    return {
        name
        for comparison in work.comparisons
        for name in (comparison.measured, comparison.reference)
    }


def _spread(values: Sequence[float]) -> str:
    middle = _figure(median(values))
    return f"{middle} ({_figure(min(values))}-{_figure(max(values))})" if values[1:] else middle


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _columns(lines: Iterable[Sequence[str]]) -> str:
    lines = list(lines)
    widths = [max(len(cell) for cell in column) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )
