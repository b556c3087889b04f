"""The use cases, and what they stand on: SQL statements and stored bytes."""
