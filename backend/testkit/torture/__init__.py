"""Kill and stop the real service, its workers, database and disk under load: `make torture`."""
