"""AWS Signature Version 4, of header fields and of addresses.

It is "Authenticating Requests" in Amazon S3's API reference. botocore's signer takes 73 µs,
a fifth of what a small request takes in all; this takes 6 (ADR 56).
"""

import hmac
import time
from collections.abc import Mapping
from hashlib import sha256
from typing import Final, NamedTuple
from urllib.parse import quote

PAYLOAD: Final = "x-amz-content-sha256"
"""The header field with the SHA-256 of the body, in hexadecimal digits."""
_UNSIGNED: Final = "UNSIGNED-PAYLOAD"
"""The body is protected by its Content-MD5, which is signed."""


class Keys(NamedTuple):
    """What requests are signed with. Never logged."""

    access: str
    secret: str
    token: str = ""

    def __repr__(self) -> str:
        """Return nothing of the secrets."""
        return "Keys(…)"


def encode(name: str) -> str:
    """Return a name percent-encoded as signatures want it, slashes too."""
    return quote(name, safe="-_.~")


def encode_path(path: str) -> str:
    """Return a path percent-encoded as signatures want it."""
    return quote(path, safe="/-_.~")


def encode_query(query: Mapping[str, str]) -> str:
    """Return a query as signatures want it: ordered and percent-encoded."""
    encoded = sorted((encode(name), encode(value)) for name, value in query.items())
    return "&".join(f"{name}={value}" for name, value in encoded)


class Signer:
    """Signs requests to one host and region."""

    def __init__(self, host: str, region: str) -> None:
        self._host = host
        self._region = region
        self._day = ""
        self._of = Keys("", "")
        self._key = b""

    def sign(
        self, keys: Keys, method: str, path: str, query: str, headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the header fields of a signed request.

        Args:
            keys: Whose request it is.
            method: Of HTTP.
            path: Encoded by `encode_path`.
            query: Encoded by `encode_query`.
            headers: Further fields, by lower-case names; all are signed. Without `PAYLOAD` the body
                is not.
        """
        now = _now()
        fields = {PAYLOAD: _UNSIGNED, **headers, "host": self._host, "x-amz-date": now}
        if keys.token:
            fields["x-amz-security-token"] = keys.token
        names = sorted(fields)
        lines = "".join([f"{name}:{fields[name]}\n" for name in names])
        signed = ";".join(names)
        request = f"{method}\n{path}\n{query}\n{lines}\n{signed}\n{fields[PAYLOAD]}"
        signature = self._signature(keys, now, request)
        fields["authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={keys.access}/{self._scope(now)}, "
            f"SignedHeaders={signed}, Signature={signature}"
        )
        return fields

    def presign(
        self, keys: Keys, method: str, path: str, query: Mapping[str, str], seconds: int
    ) -> str:
        """Return the query of a request that anybody can make, for so many seconds from now on."""
        now = _now()
        signed = {
            **query,
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{keys.access}/{self._scope(now)}",
            "X-Amz-Date": now,
            "X-Amz-Expires": str(seconds),
            "X-Amz-SignedHeaders": "host",
        }
        if keys.token:
            signed["X-Amz-Security-Token"] = keys.token
        encoded = encode_query(signed)
        request = f"{method}\n{path}\n{encoded}\nhost:{self._host}\n\nhost\n{_UNSIGNED}"
        return f"{encoded}&X-Amz-Signature={self._signature(keys, now, request)}"

    def _scope(self, now: str) -> str:
        return f"{now[:8]}/{self._region}/s3/aws4_request"

    def _signature(self, keys: Keys, now: str, request: str) -> str:
        if (now[:8], keys) != (self._day, self._of):
            key = f"AWS4{keys.secret}".encode()
            for part in self._scope(now).split("/"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day, self._of, self._key = now[:8], keys, key
        digest = sha256(request.encode()).hexdigest()
        text = f"AWS4-HMAC-SHA256\n{now}\n{self._scope(now)}\n{digest}"
        return hmac.digest(self._key, text.encode(), "sha256").hex()


def _now() -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
