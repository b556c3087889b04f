"""What the database is asked, how long that takes, and what waits for it."""

from typing import Final

from grafana_foundation_sdk.models.dashboard import Dashboard

from dashboards.panels import build, figure, graph, red_below, red_from
from dashboards.queries import mean, most_rate, quantile, rate, total

_STATEMENTS: Final = "database_statement_duration_seconds"


def database() -> Dashboard:
    """Return the dashboard of the database."""
    used = total("database_pool_connections", where='state="used"')
    now = (
        figure("Database", "bool_yes_no", "min(image_host_database_up)", red_below(1)),
        figure("Statements", "ops", rate(f"{_STATEMENTS}_count")),
        figure("P95", "s", quantile(0.95, _STATEMENTS)),
        figure(
            "Connections in use",
            "percentunit",
            f"{used} / {total('database_pool_size')}",
            red_from(0.95),
        ),
        figure("Waiting for one", "none", total("database_pool_waiting"), red_from(1)),
        figure("Errors", "ops", f"{rate('database_errors_total')} or vector(0)", red_from(0.01)),
    )
    statements = (
        graph(
            "Statements", "ops", (_top(rate(f"{_STATEMENTS}_count", "statement")), "{{statement}}")
        ),
        graph(
            "Duration, P95",
            "s",
            (_top(quantile(0.95, _STATEMENTS, "statement")), "{{statement}}"),
        ),
        graph(
            "Time spent",
            "none",
            (_top(rate(f"{_STATEMENTS}_sum", "statement")), "{{statement}}"),
            stacked=True,
            description="Seconds of statements a second, as the service waits for them.",
        ),
        graph(
            "Time spent, as PostgreSQL counts",
            "none",
            (_top(most_rate("database_statement_seconds_total", "statement")), "{{statement}}"),
            stacked=True,
            description="Where it has pg_stat_statements: whoever asks, without the network.",
        ),
        graph(
            "Duration, mean, as PostgreSQL counts",
            "s",
            (
                _top(
                    f"{most_rate('database_statement_seconds_total', 'statement')}"
                    f" / {most_rate('database_statement_calls_total', 'statement')}"
                ),
                "{{statement}}",
            ),
            description="Where it has pg_stat_statements.",
        ),
        graph("Errors", "ops", (rate("database_errors_total", "error"), "{{error}}")),
    )
    connections = (
        graph(
            "Connections",
            "none",
            (total("database_pool_connections", "state"), "{{state}}"),
            stacked=True,
        ),
        graph("Waiting for one", "none", (total("database_pool_waiting"), "requests")),
    )
    batches = (
        graph("Batches", "ops", (rate("batch_size_count", "batch"), "{{batch}}")),
        graph("Items of one, mean", "none", (mean("batch_size", "batch"), "{{batch}}")),
        graph(
            "How long the first item was queued, P95",
            "s",
            (quantile(0.95, "batch_queue_delay_seconds", "batch"), "{{batch}}"),
        ),
    )
    return build(
        "database",
        "database",
        "What the database is asked, how long that takes, and what waits for it.",
        ("Now", now),
        ("Statements", statements),
        ("Connections", connections),
        ("Batches", batches),
    )


def _top(expression: str) -> str:
    return f"topk(10, {expression})"
