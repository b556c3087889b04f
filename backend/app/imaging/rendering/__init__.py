"""Thumbnails and placeholders, rendered from untrusted bytes in processes with limits (ADR 38)."""
