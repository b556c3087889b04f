"""The dashboards of deploy/grafana, as code: `make dashboards` writes them (ADR 72)."""
