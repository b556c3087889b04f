"""What the dashboards and the rules ask Prometheus."""

import json
import re
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml  # type: ignore[import-untyped]  # it has no types

from testkit.service import ROOT

DASHBOARDS: Final = ROOT / "deploy" / "grafana" / "dashboards"
RULES: Final = ROOT / "deploy" / "prometheus" / "rules.yml"

_TEXT: Final = re.compile(r'"(?:[^"\\]|\\.)*"')
_SERIES: Final = re.compile(r"\bimage_host_(\w+)(?:\{([^}]*)\})?")
_MATCHER: Final = re.compile(r'(\w+)(?:=~|!~|!=|=)""')
_GROUPING: Final = re.compile(r"\b(?:by|on) \(([^)]*)\)")


class Query(NamedTuple):
    """One expression, of a panel or a rule."""

    place: str
    """Where it is, for people."""
    expression: str
    legend: str = ""

    def series(self) -> list[tuple[str, set[str]]]:
        """Return the metrics of ours that it names, without `image_host_`, and their labels."""
        text = _TEXT.sub('""', self.expression)
        return [(name, set(_MATCHER.findall(where))) for name, where in _SERIES.findall(text)]

    def grouping(self) -> set[str]:
        """Return the labels by which it groups."""
        found = _GROUPING.findall(self.expression)
        return {label for labels in found for label in re.findall(r"\w+", labels)}

    def shown(self) -> set[str]:
        """Return the labels that its legend shows."""
        return set(re.findall(r"\{\{(\w+)\}\}", self.legend))


def panel_queries() -> list[Query]:
    """Return the queries of all panels of all dashboards."""
    return [
        Query(
            f"{file.stem}: {panel['title']} {target['refId']}",
            target["expr"],
            target.get("legendFormat", ""),
        )
        for file in sorted(DASHBOARDS.glob("*.json"))
        for panel in json.loads(file.read_text())["panels"]
        for target in panel.get("targets", ())
    ]


def rule_queries() -> list[Query]:
    """Return the expressions of all rules."""
    return [Query(rule.get("alert") or rule["record"], rule["expr"]) for rule in rules()]


def rules(file: Path = RULES) -> list[dict[str, Any]]:
    """Return the rules of all groups."""
    return [rule for group in yaml.safe_load(file.read_text())["groups"] for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    """Return those that are alerts."""
    return [rule for rule in rules() if "alert" in rule]
