"""The header fields of the answers about an image's file, or its thumbnail."""

from base64 import b64encode
from datetime import UTC, datetime, timedelta
from time import time
from typing import Final, NamedTuple
from urllib.parse import quote

from app.api.conditional import FileState
from app.services.files import HotFile

HeaderFields = tuple[tuple[bytes, bytes], ...]

_EXPOSED: Final = (
    b"Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Repr-Digest, "
    b"Retry-After, X-Request-ID"
)
FOR_ANY_SITE: Final[HeaderFields] = (
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", _EXPOSED),
    (b"cross-origin-resource-policy", b"cross-origin"),
)
"""Of every answer at a file's URL, errors too: pages of other sites may show the file, and their
scripts may read it (ADR 0022)."""

_IMMUTABLE: Final = b"public, max-age=31536000, immutable"
_REVALIDATED: Final = b"public, no-cache"
"""Of a file that is to be saved: its bytes never change, but its name does."""
_PRIVATE: Final = b"private, no-cache"
"""Of a file of a private image: it is for whoever sent this request, and asked for each time."""
_SANDBOX: Final = b"default-src 'none'; sandbox"
"""Opened by itself, the file may run and load nothing, whatever a browser takes it for."""
_AGE_OF_DATE: Final = timedelta(seconds=2)
"""How old the Date may be that uvicorn writes into an answer; it makes one each second."""


class FileHeaders(NamedTuple):
    """What the answers about a file say of it."""

    file: FileState
    common: HeaderFields
    """Of every answer; a cache updates what it has by those of 304 (RFC 9111, section 4.3.4)."""
    representation: HeaderFields
    """Of answers that carry the file, or would."""


def fields_to_show(file: HotFile) -> FileHeaders:
    """Return the header fields of a file that is to be shown."""
    return _fields(file, attachment=False)


def fields_to_save(file: HotFile) -> FileHeaders:
    """Return the header fields of a file that is to be saved."""
    return _fields(file, attachment=True)


def kept_until(headers: FileHeaders, second: int) -> FileHeaders:
    """Return header fields by which browsers may keep a private file while its address is good.

    Args:
        headers: The header fields of the file.
        second: When the address expires, since 1970.
    """
    kept = b"private, max-age=%d" % max(0, second - int(time()))
    common = ((name, kept if name == b"cache-control" else value) for name, value in headers.common)
    return headers._replace(common=tuple(common))


def _fields(file: HotFile, *, attachment: bool) -> FileHeaders:
    modified = _last_modified(file.modified).replace(microsecond=0)
    # A key is used for one file only, ever.
    state = FileState(f'"{file.key.partition(".")[0]}"', modified, file.size)
    disposition = content_disposition(file.filename, attachment=attachment)
    public = _REVALIDATED if attachment else _IMMUTABLE
    common = (
        (b"etag", state.etag.encode()),
        (b"last-modified", state.last_modified.encode()),
        (b"cache-control", public if file.is_public else _PRIVATE),
        (b"content-disposition", disposition.encode()),
        *FOR_ANY_SITE,
        (b"x-content-type-options", b"nosniff"),
        (b"content-security-policy", _SANDBOX),
        # RFC 9530, section 3: of the whole file, also where a part of it is sent.
        *([(b"repr-digest", b"sha-256=:%b:" % b64encode(file.checksum))] if file.checksum else ()),
    )
    representation = ((b"content-type", file.content_type.encode()), (b"accept-ranges", b"bytes"))
    return FileHeaders(state, common, representation)


def _last_modified(created_at: datetime) -> datetime:
    """Return when a file was stored; if that is in the future, just before the answer's Date.

    RFC 9110, section 8.8.2.1: a clock was wrong, and Last-Modified must not be later than Date.
    """
    now = datetime.now(UTC)
    return created_at if created_at <= now else now.replace(microsecond=0) - _AGE_OF_DATE


def content_disposition(filename: str, *, attachment: bool) -> str:
    """Return the header of RFC 6266, with an ASCII fallback where the name needs it (RFC 8187)."""
    kind = "attachment" if attachment else "inline"
    fallback = "".join(
        character if character.isascii() and character not in '"\\%' else "_"
        for character in filename
    )
    header = f'{kind}; filename="{fallback}"'
    if fallback == filename:
        return header
    return f"{header}; filename*=UTF-8''{quote(filename, safe='')}"
