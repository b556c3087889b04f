"""Where the storage is, by the URL of a setting."""

import re
from typing import Final, Literal, NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

FORM: Final = "s3://bucket/prefix?endpoint=https://host:port&region=name&path_style=true"
"""What a URL of S3 looks like; all but the bucket may be left out."""

DEFAULT_REGION: Final = "us-east-1"
"""What stores without regions expect in signatures, too."""

LOCAL: Final = "local"
"""Names the folder `images` of the data folder, where a URL of a storage may be missing."""

_BUCKET: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,62}")
_PREFIX: Final = re.compile(r"([A-Za-z0-9._=+-]+(/[A-Za-z0-9._=+-]+)*)?")
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,63}")
_PROFILE: Final = re.compile(r"[A-Za-z0-9._-]{0,64}")
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_BOOLEANS: Final = {"true": True, "1": True, "false": False, "0": False}


class S3Location(NamedTuple):
    """A bucket of an S3-compatible store, or a part of one."""

    bucket: str
    prefix: str = ""
    """What all keys begin with: empty, or ending in a slash."""
    endpoint: str = ""
    """Scheme, host and maybe port of the store; empty = Amazon's, for the region."""
    region: str = DEFAULT_REGION
    path_style: bool = False
    """Whether the bucket is the first part of the path, not of the host name."""
    profile: str = ""
    """Of AWS's credentials file, whose keys are used instead of the usual ones."""

    @property
    def origin(self) -> str:
        """Scheme, host and maybe port of the addresses of objects."""
        endpoint = urlsplit(self.endpoint or f"https://s3.{self.region}.amazonaws.com")
        host = endpoint.netloc if self.path_style else f"{self.bucket}.{endpoint.netloc}"
        return f"{endpoint.scheme}://{host}"

    def __str__(self) -> str:
        """Return what the log calls it: it holds no secret. The same for the same place."""
        at = f" at {self.endpoint}" if self.endpoint else f" in {self.region}"
        return f"s3://{self.bucket}/{self.prefix}{at}"


def parse_storage_url(url: str) -> S3Location:
    """Return the location that a URL names.

    Raises:
        ValueError: If it is none; the sentence quotes nothing of it but names of parameters, since
            a secret may have been put into it.
    """
    parts = urlsplit(url)
    if parts.scheme != "s3" or not parts.netloc:
        raise ValueError(f"must be as {FORM} (or be empty: the folder DATA_DIR)")
    if "@" in parts.netloc:
        raise ValueError("holds no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
    if not _BUCKET.fullmatch(parts.netloc):
        raise ValueError("names no bucket: 3 to 63 letters, digits and . _ - after s3://")
    prefix = unquote(parts.path).strip("/")
    if not _PREFIX.fullmatch(prefix) or {".", ".."} & set(prefix.split("/")):
        raise ValueError("has a prefix with other characters than letters, digits and . _ = + - /")
    given: dict[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
    if unknown := given.keys() - {"endpoint", "region", "path_style", "profile"}:
        raise ValueError(f"knows no {min(unknown)}; it is as {FORM}")
    region = given.get("region", DEFAULT_REGION)
    if not _REGION.fullmatch(region):
        raise ValueError("has a region with other characters than letters, digits and -")
    profile = given.get("profile", "")
    if not _PROFILE.fullmatch(profile):
        raise ValueError("has a profile with other characters than letters, digits and . _ -")
    endpoint = given.get("endpoint", "").rstrip("/")
    return S3Location(
        parts.netloc,
        f"{prefix}/" if prefix else "",
        _require_endpoint(endpoint) if endpoint else "",
        region,
        _as_boolean(given.get("path_style", "true" if endpoint else "false")),
        profile,
    )


def storage_place(url: str) -> S3Location | Literal["local"]:
    """Return what a URL names: a bucket, or the folder, if it is "local" or empty.

    Raises:
        ValueError: As `parse_storage_url`.
    """
    return "local" if url in {"", LOCAL} else parse_storage_url(url)


def are_one_place(url: str, other: str) -> bool:
    """Return whether two URLs name the same storage, though maybe with other keys."""
    return str(storage_place(url)) == str(storage_place(other))


def _require_endpoint(endpoint: str) -> str:
    """Return the endpoint as clients write it in Host, which is signed."""
    parts = urlsplit(endpoint)
    if parts.scheme not in {"http", "https"} or not parts.hostname or "@" in parts.netloc:
        raise ValueError("has an endpoint that is not as https://host:port")
    if parts.path or parts.query or parts.fragment:
        raise ValueError("has an endpoint with a path; it is as https://host:port")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    has_default = parts.port in {None, _DEFAULT_PORTS[parts.scheme]}
    return f"{parts.scheme}://{host}" if has_default else f"{parts.scheme}://{host}:{parts.port}"


def _as_boolean(value: str) -> bool:
    if value.lower() not in _BOOLEANS:
        raise ValueError("has a path_style that is neither true nor false")
    return _BOOLEANS[value.lower()]
