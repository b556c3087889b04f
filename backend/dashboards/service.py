"""Whether people are served, how fast, and by which processes."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import build, figure, graph, label, red_below, red_from
from dashboards.queries import mean, quantile, rate, total

_REQUESTS: Final = "http_request_duration_seconds"
_ASKED: Final = "http_request_duration_seconds_count"
_SERVED: Final = 'status!="4xx",route!~"/health/.*"'
_FAILED: Final = 'status="5xx",route!~"/health/.*"'


def service() -> Dashboard:
    """Return the dashboard to begin with."""
    now = (
        figure(
            "Alerts that fire",
            "none",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            red_from(1),
        ),
        figure("Database", "bool_yes_no", "min(image_host_database_up)", red_below(1)),
        figure("Storage", "bool_yes_no", "min(image_host_storage_up)", red_below(1)),
        figure("Requests", "reqps", rate(_ASKED)),
        figure(
            "Failed",
            "percentunit",
            f"({rate(_ASKED, where=_FAILED)} or vector(0)) / {rate(_ASKED, where=_SERVED)}",
            red_from(0.001),
            description="Requests with 5xx, of all that were right; without health checks.",
        ),
        label(
            "Version",
            (
                "count by (version, python, schema) (image_host_build_info)",
                "{{version}}, Python {{python}}, schema {{schema}}",
            ),
        ),
    )
    requests = (
        graph("By status", "reqps", (rate(_ASKED, "status"), "{{status}}"), stacked=True),
        graph("By route", "reqps", (rate(_ASKED, "method, route"), "{{method}} {{route}}")),
        graph("Problems", "reqps", (rate("http_problems_total", "type"), "{{type}}")),
        graph(
            "Duration",
            "s",
            (quantile(0.5, _REQUESTS), "P50"),
            (quantile(0.95, _REQUESTS), "P95"),
            (quantile(0.99, _REQUESTS), "P99"),
        ),
        graph("Duration by route, P95", "s", (quantile(0.95, _REQUESTS, "route"), "{{route}}")),
        graph("In progress", "none", (total("http_requests_in_progress"), "requests")),
        graph("Bytes sent", "Bps", (rate("http_response_size_bytes_sum", "route"), "{{route}}")),
        graph("Bytes received", "Bps", (rate("http_request_size_bytes_sum", "route"), "{{route}}")),
        graph(
            "Size of a response", "bytes", (mean("http_response_size_bytes", "route"), "{{route}}")
        ),
    )
    objectives = (
        graph(
            "Budget used up",
            "none",
            ("image_host:burn_rate:1h", "{{objective}}, within 1 h"),
            ("image_host:burn_rate:6h", "{{objective}}, within 6 h"),
            description="1 is as fast as 30 days allow; an alert fires at 14.4 (1 h) or 6 (6 h).",
        ),
        graph(
            "Budget used up, slowly",
            "none",
            ("image_host:burn_rate:1d", "{{objective}}, within a day"),
            ("image_host:burn_rate:3d", "{{objective}}, within three days"),
            description="An alert fires at 3 (a day) or 1 (three days).",
        ),
        graph(
            "Alerts",
            "none",
            ('sum by (alertname) (ALERTS{alertstate="firing"})', "{{alertname}}"),
        ),
    )
    processes = (
        graph("Connections", "none", (total("connections", "state"), "{{state}}"), stacked=True),
        graph(
            "Connections refused",
            "cps",
            (rate("connections_refused_total", "reason"), "{{reason}}"),
        ),
        graph(
            "Event loop, P99 of its lag",
            "s",
            (quantile(0.99, "event_loop_lag_seconds", "process"), "{{process}}"),
        ),
        graph(
            "Processes that started",
            "none",
            ("sum by (kind) (increase(image_host_process_starts_total[5m]))", "{{kind}}"),
        ),
        graph(
            "Processes that ended",
            "none",
            (
                "sum by (kind, how) (increase(image_host_process_ends_total[5m]))",
                "{{kind}} {{how}}",
            ),
        ),
    )
    return build(
        "service",
        "service",
        "Whether people are served, how fast, and by which processes.",
        ("Now", now),
        ("Requests", requests),
        ("Objectives", objectives),
        ("Connections and processes", processes),
    )
