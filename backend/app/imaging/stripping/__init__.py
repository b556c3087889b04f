"""Removing what an image's file says beyond the image, as its bytes pass by (ADR 44)."""
