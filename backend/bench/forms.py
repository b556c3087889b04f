"""Uploads as clients send them."""

from typing import Final

UPLOADED_NAME: Final = "benchmark.jpg"
"""By which uploads of a measurement are found again, to be removed."""

_BOUNDARY: Final = f"{'-' * 24}0PUb7dHkQn3mZ8rYwVsLfC"
"""As long as curl's, a little longer than browsers'. A short one is slower to search for."""


def form(content: bytes, **options: bool) -> tuple[bytes, str]:
    """Make the body of an upload, and its content type; options are fields before the file."""
    asked = "".join(
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in options.items()
    )
    disposition = f'Content-Disposition: form-data; name="file"; filename="{UPLOADED_NAME}"'
    head = f"{asked}--{_BOUNDARY}\r\n{disposition}\r\nContent-Type: image/jpeg\r\n\r\n"
    body = head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return body, f"multipart/form-data; boundary={_BOUNDARY}"
