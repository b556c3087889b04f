"""What becomes of each sample of each format: found out by doing it, and shown as a table."""
