"""Settings: read once at start, validated, then never changed."""
