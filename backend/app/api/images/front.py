"""What answers about a file say to nginx in front: its lease, or where it is (ADR 51)."""

from typing import Final

from fastapi import Request

from app.api.conditional import is_conditional
from app.api.images.file_headers import HeaderFields
from app.api.middleware.proxy_headers import IS_FORWARDED
from app.services.files import HotFile, ImageFiles

INTERNAL_PATH: Final = "/image-host/files/"
"""Where nginx has the storage's folder, out of clients' reach (`deploy/nginx/`)."""
INTERNAL_STORE: Final = "/image-host/store"
"""Where it asks the address that is in the query."""
INTERNAL_SECONDS: Final = 60
"""How long that address is valid: nginx asks immediately, but clocks differ."""

_ASKED: Final = (b"x-sendfile-type", b"X-Accel-Redirect")
"""The field by which our configuration asks for paths; it overwrites that of a client."""

_KEPT: Final = (b"accept-ranges", b"cache-control", b"content-disposition")


def lease_fields(request: Request, files: ImageFiles) -> HeaderFields:
    """Return the fields that let nginx serve a file by itself; none where it must ask each time.

    They must be made before the file is looked at, since they are for what was there at that time.
    nginx 1.22 reads the fields in their order, and none about caching after this one.
    """
    lease = files.lease
    if lease is None or IS_FORWARDED not in request.scope:
        return ()
    if "authorization" in request.headers or "x-api-key" in request.headers:
        return ()
    expires = (b"x-accel-expires", b"@%d" % lease.end())
    if not lease.stale_seconds:
        return (expires,)
    return ((b"cache-control", b"stale-if-error=%d" % lease.stale_seconds), expires)  # RFC 5861


def absence_fields(request: Request, files: ImageFiles) -> HeaderFields:
    """Return the field that lets nginx say for as long that there is no such image.

    Identical requests wait for one another where nginx may cache the answer, and again each time
    that it may not.
    """
    return lease_fields(request, files)[-1:]


async def location_fields(request: Request, files: ImageFiles, file: HotFile) -> HeaderFields:
    """Return the field that has nginx send the whole file; none where it could not, or must not.

    What a request asks under a condition, or for a range, nginx would judge by itself once more.

    Raises:
        ImageHostError: As `ImageFiles.open`.
    """
    if IS_FORWARDED not in request.scope or request.method != "GET":
        return ()
    if _ASKED not in request.headers.raw or is_conditional(request.headers):
        return ()
    if path := await files.locate(file):
        location = f"{INTERNAL_PATH}{path}"
    elif address := await files.presign(file, INTERNAL_SECONDS, {}):
        location = f"{INTERNAL_STORE}?{address}"
    else:
        return ()
    return ((b"x-accel-redirect", location.encode()), (b"content-length", b"0"))


def renamed_fields(fields: HeaderFields) -> HeaderFields:
    """Return the header fields of an answer whose bytes nginx gets elsewhere.

    It would keep some of them beside those of the answer that it gets where there are no bytes.
    """
    return tuple((b"x-" + name if name in _KEPT else name, value) for name, value in fields)
