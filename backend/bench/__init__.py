"""Measurements, as ratios to a reference of the same run. No tests: machines are shared."""
