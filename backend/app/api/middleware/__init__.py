"""ASGI middleware; its order is in `composition/http_app.py`."""
