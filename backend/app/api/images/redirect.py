"""Sending clients to the store for a file, by an address that soon expires (ADR 58)."""

from time import time
from typing import Final

from fastapi import Request

from app.api.conditional import is_conditional
from app.api.images.file_headers import FOR_ANY_SITE, FileHeaders, HeaderFields
from app.services.files import HotFile, ImageFiles

ADDRESS_SECONDS: Final = 300
"""How long an address is valid."""
KEPT_SECONDS: Final = 60
"""How long a client may use it without asking again: the rest is for clocks that differ."""


async def redirect_fields(  # noqa: PLR0913 - all that decides it
    request: Request,
    files: ImageFiles,
    file: HotFile,
    fields: FileHeaders,
    *,
    until: int | None,
    download: bool,
) -> HeaderFields:
    """Return the header fields that send a client to the store; none where it is not sent there.

    Requests under a condition name our entity tag, which is not the store's, and HEAD is another
    request than the one that is signed. A thumbnail is not worth the way to another server, and
    browsers keep it for longer than any address.

    Args:
        request: What is asked.
        files: Has the addresses.
        file: What is asked for.
        fields: Its header fields.
        until: The second, since 1970, when the client's own address expires, if it does: that of
            the store is good for no longer.
        download: Whether it is to be saved.

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
    seconds = ADDRESS_SECONDS if until is None else min(ADDRESS_SECONDS, until - int(time()))
    address = await files.presign(file, max(1, seconds), headers)
    if not address:
        return ()
    is_kept = file.is_public and not download
    kept = b"private, max-age=%d" % KEPT_SECONDS if is_kept else b"no-store"
    return (
        (b"location", address.encode()),
        (b"cache-control", kept),
        *FOR_ANY_SITE,
        (b"content-length", b"0"),
    )
