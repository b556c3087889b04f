"""The files of deploy/grafana."""

import json
from itertools import combinations
from typing import Any

import pytest

from dashboards.__main__ import FOLDER, rendered

DASHBOARDS: dict[str, dict[str, Any]] = {
    file.name: json.loads(file.read_text()) for file in sorted(FOLDER.glob("*.json"))
}


def test_the_files_are_what_the_code_makes() -> None:
    """`make dashboards` makes them so."""
    assert {name: (FOLDER / name).read_text() for name in DASHBOARDS} == rendered()


@pytest.mark.parametrize("name", DASHBOARDS)
def test_no_panel_covers_another(name: str) -> None:
    def cells(panel: dict[str, Any]) -> set[tuple[int, int]]:
        place = panel["gridPos"]
        return {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }

    panels = DASHBOARDS[name]["panels"]
    assert all(x < 24 for panel in panels for x, _ in cells(panel))
    assert not any(cells(one) & cells(other) for one, other in combinations(panels, 2))


@pytest.mark.parametrize("name", DASHBOARDS)
def test_every_panel_says_what_it_shows_and_in_which_unit(name: str) -> None:
    panels = [panel for panel in DASHBOARDS[name]["panels"] if panel["type"] != "row"]
    for panel in panels:
        assert panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
