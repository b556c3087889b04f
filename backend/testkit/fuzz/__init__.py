"""Coverage-guided fuzzing of what reads clients' bytes; not part of the suite."""
