"""What is uploaded, and how the storage copes."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import build, figure, graph, red_below, red_from
from dashboards.queries import mean, most, quantile, rate

_REQUESTS: Final = "http_request_duration_seconds"
_UPLOADS: Final = 'route=~".*/images/(upload|batch)"'
_STORAGE: Final = "storage_operation_duration_seconds"
_DAY: Final = 86400


def uploads() -> Dashboard:
    """Return the dashboard of uploads and storage."""
    now = (
        figure("Images", "short", most("images")),
        figure("Their bytes", "bytes", most("storage_used_bytes")),
        figure("Free", "bytes", "min(image_host_storage_free_bytes)"),
        figure(
            "Free, of the disk",
            "percentunit",
            "min(image_host_storage_free_bytes / image_host_storage_size_bytes)",
            red_below(0.05),
        ),
        figure(
            "Since the last fsck",
            "s",
            f"time() - {most('fsck_last_timestamp_seconds')}",
            red_from(35 * _DAY),
        ),
        figure(
            "Since the last backup",
            "s",
            f"time() - {most('backup_last_timestamp_seconds')}",
            red_from(2 * _DAY),
        ),
    )
    uploaded = (
        graph(
            "Uploads and deletes",
            "cps",
            (rate("images_uploaded_total"), "uploaded"),
            (rate("images_deleted_total"), "deleted"),
        ),
        graph("Bytes uploaded", "Bps", (rate("uploaded_bytes_total"), "of images")),
        graph(
            "Answers to uploads",
            "reqps",
            (rate(f"{_REQUESTS}_count", "status", _UPLOADS), "{{status}}"),
            stacked=True,
        ),
        graph(
            "Duration of uploads",
            "s",
            (quantile(0.5, _REQUESTS, where=_UPLOADS), "P50"),
            (quantile(0.95, _REQUESTS, where=_UPLOADS), "P95"),
            description="As long as clients take to send is part of it.",
        ),
        graph(
            "Size of an upload",
            "bytes",
            (mean("http_request_size_bytes", where=_UPLOADS), "mean"),
            (quantile(0.95, "http_request_size_bytes", where=_UPLOADS), "P95"),
        ),
        graph(
            "Refusals",
            "cps",
            (
                rate(
                    "http_problems_total",
                    "type",
                    'type=~".*quota-exceeded|.*too-large|.*-full|too-many-.*"',
                ),
                "{{type}}",
            ),
            description="For a quota, a limit, or want of space.",
        ),
    )
    storage = (
        graph(
            "Operations",
            "ops",
            (rate(f"{_STORAGE}_count", "backend, operation"), "{{backend}} {{operation}}"),
        ),
        graph(
            "Their duration, P95",
            "s",
            (quantile(0.95, _STORAGE, "backend, operation"), "{{backend}} {{operation}}"),
        ),
        graph(
            "Errors",
            "ops",
            (
                rate("storage_errors_total", "backend, operation, error"),
                "{{backend}} {{operation}}: {{error}}",
            ),
        ),
        graph(
            "Space",
            "bytes",
            ("min(image_host_storage_free_bytes)", "free"),
            ("min(image_host_storage_size_bytes)", "of the disk"),
        ),
        graph("Bytes of the images", "bytes", (most("storage_used_bytes"), "originals")),
        graph("Images stored", "short", (most("images"), "stored")),
    )
    return build(
        "uploads",
        "uploads and storage",
        "What is uploaded, and how the storage copes.",
        ("Now", now),
        ("Uploads", uploaded),
        ("Storage", storage),
    )
