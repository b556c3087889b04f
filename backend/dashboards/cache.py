"""What need not be asked for again, and who sends the bytes."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import build, figure, graph, red_below, red_from
from dashboards.queries import quantile, rate

_CACHE: Final = "cache_operation_duration_seconds"
_HITS: Final = rate("cache_lookups_total", where='result="hit"')
_LOOKUPS: Final = rate("cache_lookups_total")
_SENT: Final = rate("file_responses_total")
_SPARED: Final = 'way=~"front|redirect|not_modified"'


def cache() -> Dashboard:
    """Return the dashboard of the cache and the front."""
    now = (
        figure("Cache", "bool_yes_no", "min(image_host_cache_up)", red_below(1)),
        figure("Rows from the cache", "percentunit", f"{_HITS} / {_LOOKUPS}"),
        figure("Cache errors", "ops", rate("cache_errors_total"), red_from(0.01)),
        figure("Files", "reqps", _SENT),
        figure(
            "Files without their bytes",
            "percentunit",
            f"({rate('file_responses_total', where=_SPARED)} or vector(0)) / {_SENT}",
            description="Sent by nginx or the store, or still known to the client.",
        ),
        figure("Cache, P95", "s", quantile(0.95, _CACHE)),
    )
    rows = (
        graph(
            "Lookups", "cps", (rate("cache_lookups_total", "result"), "{{result}}"), stacked=True
        ),
        graph(
            "Duration by operation, P95",
            "s",
            (quantile(0.95, _CACHE, "operation"), "{{operation}}"),
        ),
        graph(
            "Operations",
            "ops",
            (rate(f"{_CACHE}_count", "operation"), "{{operation}}"),
            (rate("cache_errors_total"), "errors"),
        ),
    )
    files = (
        graph(
            "How the bytes of files went",
            "reqps",
            (rate("file_responses_total", "way"), "{{way}}"),
            stacked=True,
        ),
        graph(
            "Duration of file requests",
            "s",
            (
                quantile(
                    0.5, "http_request_duration_seconds", "route", 'route=~".*/(file|thumb.*)"'
                ),
                "{{route}}, P50",
            ),
            (
                quantile(
                    0.95, "http_request_duration_seconds", "route", 'route=~".*/(file|thumb.*)"'
                ),
                "{{route}}, P95",
            ),
            description="To the last byte that the client took; with nginx in front, to nginx.",
        ),
        graph(
            "Bytes of files sent by the service",
            "Bps",
            (
                rate("http_response_size_bytes_sum", "route", 'route=~".*/(file|thumb.*)"'),
                "{{route}}",
            ),
        ),
    )
    return build(
        "cache",
        "cache and front",
        "What need not be asked for again, and who sends the bytes.",
        ("Now", now),
        ("Cache of rows", rows),
        ("Files", files),
    )
