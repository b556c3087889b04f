"""The metrics of Prometheus: what a service has observed, and how it is asked for (ADR 68)."""
