"""Caches: what may be lost at any time, and must never be stale."""
