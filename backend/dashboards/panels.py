"""Panels and dashboards as all of ours look."""

from collections.abc import Sequence
from typing import Final

from grafana_foundation_sdk.builders import common, dashboard, prometheus, stat, timeseries
from grafana_foundation_sdk.cog.builder import Builder
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    BigValueTextMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    StackingMode,
    TooltipDisplayMode,
)
from grafana_foundation_sdk.models.dashboard import (
    Dashboard,
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    Panel,
    Threshold,
    ThresholdsMode,
)

Query = tuple[str, str]
"""An expression, and what its series are called in the legend."""
Section = tuple[str, Sequence[Builder[Panel]]]
"""A row's title, and its panels."""

_SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG: Final = "image-host"
_WIDTH: Final = 24
"""Of a dashboard, in Grafana's units."""
_GREEN: Final = (Threshold(value=None, color="green"),)


def graph(
    title: str, unit: str, *queries: Query, stacked: bool = False, description: str = ""
) -> Builder[Panel]:
    """Return a panel of curves over time; three of them are a row.

    Args:
        title: Above it.
        unit: Of its values, as Grafana calls it.
        queries: What it shows.
        stacked: Whether the curves add up.
        description: What is to be known to read it.
    """
    panel = (
        timeseries.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .min(0)
        .fill_opacity(25 if stacked else 5)
        .legend(
            common.VizLegendOptions()
            .show_legend(True)  # noqa: FBT003 - as the builder has it
            .display_mode(LegendDisplayMode.LIST)
            .placement(LegendPlacement.BOTTOM)
        )
        .tooltip(
            common.VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
        )
        .span(_WIDTH // 3)
        .height(8)
    )
    if stacked:
        panel.stacking(common.StackingConfig().mode(StackingMode.NORMAL))
    for expression, legend in queries:
        panel.with_target(_target(expression).legend_format(legend))
    return panel


def figure(
    title: str,
    unit: str,
    expression: str,
    colours: Sequence[Threshold] = _GREEN,
    description: str = "",
) -> stat.Panel:
    """Return a panel of the value that something has now; six of them are a row.

    Args:
        title: Above it.
        unit: As of `graph`.
        expression: What it shows.
        colours: Of its value, from `red_from` or `red_below`.
        description: As of `graph`.
    """
    return (
        stat.Panel()
        .title(title)
        .description(description)
        .datasource(_SOURCE)
        .unit(unit)
        .graph_mode(BigValueGraphMode.NONE)
        .reduce_options(common.ReduceDataOptions().calcs(["lastNotNull"]))
        .thresholds(dashboard.ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(list(colours)))
        .span(_WIDTH // 6)
        .height(4)
        .with_target(_target(expression))
    )


def label(title: str, query: Query) -> Builder[Panel]:
    """Return a panel of what the series of a query are called."""
    expression, legend = query
    return (
        figure(title, "none", expression)
        .text_mode(BigValueTextMode.NAME)
        .targets([_target(expression).legend_format(legend)])
    )


def red_from(value: float) -> Sequence[Threshold]:
    """Return the colours of a figure that is bad from a value on."""
    return (*_GREEN, Threshold(value=value, color="red"))


def red_below(value: float) -> Sequence[Threshold]:
    """Return the colours of a figure that is bad below a value."""
    return (Threshold(value=None, color="red"), Threshold(value=value, color="green"))


def build(uid: str, title: str, description: str, *sections: Section) -> Dashboard:
    """Return a dashboard.

    Args:
        uid: By which Grafana knows it, and its file is named.
        title: What people look for.
        description: What it is for.
        sections: Its rows.
    """
    built = (
        dashboard.Dashboard(f"Image host: {title}")
        .uid(f"{_TAG}-{uid}")
        .description(description)
        .tags([_TAG])
        .editable()
        .time("now-6h", "now")
        .timezone("browser")
        .refresh("1m")
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .with_variable(dashboard.DatasourceVariable("datasource").type("prometheus"))
        .link(
            dashboard.DashboardLink("Image host")
            .type(DashboardLinkType.DASHBOARDS)
            .tags([_TAG])
            .keep_time(True)  # noqa: FBT003 - as the builder has it
        )
    )
    for name, panels in sections:
        built.with_row(dashboard.Row(name))
        for panel in panels:
            built.with_panel(panel)
    return _numbered(built.build())


def _target(expression: str) -> prometheus.Dataquery:
    return prometheus.Dataquery().expr(expression).datasource(_SOURCE)


def _numbered(built: Dashboard) -> Dashboard:
    """Number the panels, so that links to them stay good."""
    for number, panel in enumerate(built.panels or [], 1):
        panel.id_val = number
    for panel in built.panels or []:
        for letter, target in zip("ABCDEFGH", getattr(panel, "targets", None) or [], strict=False):
            target.ref_id = letter
    return built
