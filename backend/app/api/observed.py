"""What is left in the scope of a request for whoever observes it when it has ended."""

from typing import Final

ROUTE: Final = "image_host.route"
"""The template of its path, where FastAPI's own `route` is not there."""
FILE_WAY: Final = "image_host.file_way"
"""How the bytes of a file went to the client, or why none did."""
BODY_BYTES: Final = "image_host.body_bytes"
"""How much of its body the application has read; absent without a body."""
