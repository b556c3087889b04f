"""Sending clients to the store for a file, by an address that soon expires (ADR 58)."""

from typing import Final

from fastapi import Request

from app.api.conditional import is_conditional
from app.api.images.file_headers import FOR_ANY_SITE, FileHeaders, HeaderFields
from app.services.files import HotFile, ImageFiles

ADDRESS_SECONDS: Final = 300
"""How long an address is valid."""
KEPT_SECONDS: Final = 60
"""How long a client may use it without asking again: the rest is for clocks that differ."""


async def redirect_fields(
    request: Request, files: ImageFiles, file: HotFile, fields: FileHeaders, *, download: bool
) -> HeaderFields:
    """Return the header fields that send a client to the store; none where it is not sent there.

    Requests under a condition name our entity tag, which is not the store's, and HEAD is another
    request than the one that is signed. A thumbnail is not worth the way to another server, and
    browsers keep it for longer than any address.

    Raises:
        StorageUnavailable: If there is no address now.
    """
    if file.is_thumbnail or request.method != "GET" or is_conditional(request.headers):
        return ()
    known = dict(fields.common)
    headers = {
        "cache-control": f"private, max-age={ADDRESS_SECONDS}",
        "content-disposition": known[b"content-disposition"].decode(),
        "content-type": file.content_type,
    }
    address = await files.presign(file, ADDRESS_SECONDS, headers)
    if not address:
        return ()
    kept = b"no-store" if download else b"private, max-age=%d" % KEPT_SECONDS
    return (
        (b"location", address.encode()),
        (b"cache-control", kept),
        *FOR_ANY_SITE,
        (b"content-length", b"0"),
    )
