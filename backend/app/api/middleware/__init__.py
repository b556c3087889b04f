"""ASGI middleware, in the order in which `composition` wraps it."""
