"""Expressions of PromQL that panels have in common."""

_WINDOW = "$__rate_interval"
"""Grafana's: four times the interval of scrapes, or more where the panel shows a longer time."""


def rate(counter: str, by: str = "", where: str = "") -> str:
    """Return how fast a counter grows, a second, in all processes together.

    Args:
        counter: Its name without `image_host_`.
        by: Its labels that stay apart, comma separated.
        where: What its labels have to be.
    """
    return f"{_sum(by)} (rate({series(counter, where)}[{_WINDOW}]))"


def quantile(part: float, histogram: str, by: str = "", where: str = "") -> str:
    """Return what so great a part of a histogram's observations is not above; as `rate`."""
    labels = f"le, {by}" if by else "le"
    return f"histogram_quantile({part}, {rate(f'{histogram}_bucket', labels, where)})"


def mean(histogram: str, by: str = "", where: str = "") -> str:
    """Return the mean of a histogram's observations; as `rate`."""
    return f"{rate(f'{histogram}_sum', by, where)} / {rate(f'{histogram}_count', by, where)}"


def most_rate(counter: str, by: str) -> str:
    """Return how fast a counter grows that all services of one database tell alike; as `rate`."""
    return f"max by ({by}) (rate({series(counter)}[{_WINDOW}]))"


def total(gauge: str, by: str = "", where: str = "") -> str:
    """Return the sum of a gauge over all services; as `rate`."""
    return f"{_sum(by)} ({series(gauge, where)})"


def most(gauge: str, by: str = "", where: str = "") -> str:
    """Return a gauge that all services of one database tell alike; as `rate`."""
    return f"max by ({by}) ({series(gauge, where)})" if by else f"max({series(gauge, where)})"


def series(metric: str, where: str = "") -> str:
    """Return the series of a metric."""
    return f"image_host_{metric}{{{where}}}" if where else f"image_host_{metric}"


def _sum(by: str) -> str:
    return f"sum by ({by})" if by else "sum"
