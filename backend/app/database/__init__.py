"""PostgreSQL: connections and sessions, the revision of the schema, the embedded server."""
