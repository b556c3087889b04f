"""The heads of requests: which are ambiguous, and how one reads without its offer to upgrade."""

from collections.abc import Sequence

Fields = Sequence[tuple[bytes, bytes]]
"""Header fields in the order of the request: name in lower case, and value."""


def find_ambiguity(method: bytes, version: str, fields: Fields) -> str:
    """Return why a proxy may interpret the request differently; empty if none may.

    httptools itself refuses other ambiguities, such as two lengths.
    """
    hosts = [value for name, value in fields if name == b"host"]
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if method == b"CONNECT":
        return "CONNECT, and this is no proxy"
    if len(hosts) > 1 or not (hosts or version == "1.0"):  # RFC 9112, section 3.2
        return f"{len(hosts)} Host fields"
    if codings not in ([], [b"chunked"]):
        return "a transfer coding other than chunked"
    return ""


def has_body(fields: Fields) -> bool:
    """Return whether a body may follow a head (RFC 9112, section 6.3)."""
    return any(name in {b"content-length", b"transfer-encoding"} for name, _ in fields)


def write_without_offer(method: bytes, target: bytes, version: str, fields: Fields) -> bytes:
    """Return a head that does not offer another protocol (RFC 9110, section 7.8)."""
    request_line = b"%s %s HTTP/%s" % (method, target, version.encode())
    lines = [b"%s: %s" % field for field in fields if field[0] != b"upgrade"]
    return b"\r\n".join([request_line, *lines, b"", b""])
