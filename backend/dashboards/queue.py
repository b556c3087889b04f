"""What is queued, and what workers make of it."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import build, figure, graph, red_from
from dashboards.queries import most, quantile, rate

_JOBS: Final = "job_duration_seconds"
_DONE: Final = f"{_JOBS}_count"
_NOT_SUCCEEDED: Final = 'outcome!="succeeded"'


def queue() -> Dashboard:
    """Return the dashboard of the queue and its workers."""
    now = (
        figure("Queued", "short", _jobs("todo")),
        figure("In progress", "short", _jobs("doing")),
        figure(
            "Set aside",
            "short",
            _jobs("failed"),
            red_from(1),
        ),
        figure("Oldest", "s", most("queue_oldest_seconds"), red_from(600)),
        figure("Done", "cps", rate(_DONE, where='outcome="succeeded"')),
        figure(
            "Not succeeded",
            "percentunit",
            f"({rate(_DONE, where=_NOT_SUCCEEDED)} or vector(0)) / {rate(_DONE)}",
            red_from(0.5),
        ),
    )
    queued = (
        graph(
            "Jobs",
            "short",
            (most("queue_jobs", "task, state"), "{{task}}: {{state}}"),
            stacked=True,
        ),
        graph("Age of the oldest", "s", (most("queue_oldest_seconds", "task"), "{{task}}")),
        graph("Uploads, for comparison", "cps", (rate("images_uploaded_total"), "images")),
    )
    workers = (
        graph(
            "Attempts", "cps", (rate(_DONE, "task, outcome"), "{{task}}: {{outcome}}"), stacked=True
        ),
        graph(
            "Their duration",
            "s",
            (quantile(0.5, _JOBS, "task"), "{{task}}, P50"),
            (quantile(0.95, _JOBS, "task"), "{{task}}, P95"),
        ),
        graph(
            "How busy workers are",
            "none",
            (rate(f"{_JOBS}_sum", "task"), "{{task}}"),
            stacked=True,
            description="Seconds of jobs a second: 1 is what one worker's slot does at most.",
        ),
        graph(
            "Rendering processes, by how they ended their work",
            "cps",
            (rate("render_children_total", "end"), "{{end}}"),
        ),
        graph(
            "Event loop of workers, lag",
            "s",
            (quantile(0.5, "event_loop_lag_seconds", where='process="worker"'), "P50"),
            (quantile(0.99, "event_loop_lag_seconds", where='process="worker"'), "P99"),
        ),
        graph(
            "Workers that ended",
            "none",
            (
                'sum by (how) (increase(image_host_process_ends_total{kind="worker"}[5m]))',
                "{{how}}",
            ),
        ),
    )
    return build(
        "queue",
        "queue and workers",
        "What is queued, and what workers make of it.",
        ("Now", now),
        ("Queue", queued),
        ("Workers", workers),
    )


def _jobs(state: str) -> str:
    jobs = most("queue_jobs", "task", f'state="{state}"')
    return f"sum({jobs})"
