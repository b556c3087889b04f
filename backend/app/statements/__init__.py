"""Every SQL statement, one file a consumer. Each runs in a session that others commit."""
