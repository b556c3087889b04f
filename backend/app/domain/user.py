"""Users, and the API keys that they authenticate with."""

import re
import secrets
import string
from collections.abc import Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final, NamedTuple, TypedDict
from uuid import UUID

from app.domain.actor import Actor, Scope
from app.domain.user_errors import InvalidEmail

EMAIL_PATTERN: Final = "^[!-?A-~]+@[!-?A-~]+$"
"""Visible characters of ASCII around the only @."""
MAX_EMAIL: Final = 254
"""Characters of an address (RFC 5321, section 4.5.3.1.3, less its angle brackets)."""
MAX_QUOTA_BYTES: Final = 2**63 - 1
MAX_QUOTA_IMAGES: Final = 2**31 - 1
DEFAULT_SCOPES: Final = (Scope.READ, Scope.WRITE, Scope.DELETE)
MAX_LIFETIME: Final = timedelta(days=3660)
"""Of a key that expires."""
_PREFIX_CHARACTERS: Final = 8
_SECRET_BYTES: Final = 32
_PREFIX: Final = r"ih_[0-9A-Za-z]{8}"
_KEY: Final = re.compile(f"({_PREFIX})_[0-9A-Za-z_-]{{43}}")
_LETTERS: Final = string.ascii_letters + string.digits


class UserRole(StrEnum):
    """What a user may do with the scope `admin`."""

    USER = "user"
    """Manage their own keys."""
    ADMIN = "admin"
    """Manage all users, their keys and their images."""


class Deletion(StrEnum):
    """What becomes of the images of a user who is deleted."""

    DELETE = "delete"
    """They are deleted, too."""
    KEEP = "keep"
    """They stay as they are, and nobody owns them."""


class UserChanges(TypedDict, total=False):
    """What is to be changed of a user."""

    role: UserRole
    quota_bytes: int | None
    quota_images: int | None
    disabled: bool


class User(NamedTuple):
    """Somebody who owns images, as the row describes them."""

    id: UUID
    email: str
    role: UserRole
    quota_bytes: int | None
    """Most that their originals may be in all; None = unlimited, as for `quota_images`."""
    quota_images: int | None
    used_bytes: int
    """What their originals are in all."""
    used_images: int
    created_at: datetime
    disabled_at: datetime | None
    """Since when their keys are refused; None while they are not."""
    deletion: Deletion | None
    """What a job does with their images before it deletes them; None while none is to."""


class ApiKey(NamedTuple):
    """An API key, without what only its holder knows."""

    id: UUID
    user_id: UUID
    prefix: str
    """How it begins."""
    scopes: Sequence[Scope]
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    """To the minute; None until then."""
    revoked_at: datetime | None


class NewKey(NamedTuple):
    """What is stored of a new API key besides its times."""

    id: UUID
    prefix: str
    digest: bytes
    scopes: Sequence[Scope]


class KnownKey(NamedTuple):
    """What a valid API key is recognised by, and whose it is."""

    id: UUID
    digest: bytes
    actor: Actor


def new_prefix() -> str:
    """Return how a new API key begins, which tells it from all others."""
    return "ih_" + "".join(secrets.choice(_LETTERS) for _ in range(_PREFIX_CHARACTERS))


def new_key(prefix: str) -> str:
    """Return a new API key, of which nobody can guess 256 bits."""
    return f"{prefix}_{secrets.token_urlsafe(_SECRET_BYTES)}"


def prefix_of(key: str) -> str | None:
    """Return what an API key is looked up by; None if it can be none of a user."""
    found = _KEY.fullmatch(key)
    return found and found[1]


def is_prefix(text: str) -> bool:
    """Return whether an API key can begin so."""
    return re.fullmatch(_PREFIX, text) is not None


def checked_email(email: str) -> str:
    """Return an email without spaces around it.

    Raises:
        InvalidEmail: If it is none.
    """
    email = email.strip()
    if len(email) > MAX_EMAIL or not re.fullmatch(EMAIL_PATTERN, email):
        raise InvalidEmail
    return email
