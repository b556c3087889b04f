"""Settings: read once at start, checked, then never changed."""
