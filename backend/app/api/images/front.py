"""What answers about a file say to nginx in front: its lease, or where it is (ADR 51)."""

from typing import Final

from fastapi import Request

from app.api.conditional import is_conditional
from app.api.images.file_headers import HeaderFields
from app.api.middleware.proxy_headers import IS_FORWARDED
from app.services.files import HotFile, ImageFiles

INTERNAL_PATH: Final = "/image-host/files/"
"""Where nginx has the storage's folder, out of clients' reach (`deploy/nginx/`)."""

_ASKED: Final = (b"x-sendfile-type", b"X-Accel-Redirect")
"""The field by which our configuration asks for paths; it overwrites that of a client."""


def lease_fields(request: Request, files: ImageFiles) -> HeaderFields:
    """Return the field that lets nginx serve a file by itself; none where it must ask each time.

    It must be made before the file is looked at, since it is for what was there at that time.
    """
    if files.lease is None or IS_FORWARDED not in request.scope:
        return ()
    if "authorization" in request.headers:
        return ()
    return ((b"x-accel-expires", b"@%d" % files.lease.end()),)


def location_fields(request: Request, files: ImageFiles, file: HotFile) -> HeaderFields:
    """Return the field that has nginx send the whole file; none where it could not, or must not.

    What a request asks under a condition, or for a range, nginx would judge by itself once more.
    """
    if files.lease is None or IS_FORWARDED not in request.scope or request.method != "GET":
        return ()
    if _ASKED not in request.headers.raw or is_conditional(request.headers):
        return ()
    path = files.locate(file)
    return ((b"x-accel-redirect", f"{INTERNAL_PATH}{path}".encode()),) if path else ()
