"""SQL statements, one file a consumer; each runs in the session that it is given."""
