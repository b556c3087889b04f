"""Kill and stop the real service, its workers, database, disk, cache and nginx: `make torture`."""
