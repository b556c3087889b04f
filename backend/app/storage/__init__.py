"""Where the bytes live: one protocol, one module a backend."""
