"""The queue's workers: procrastinate's, over the service's own database (ADR 37)."""
