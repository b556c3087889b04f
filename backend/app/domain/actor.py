"""Who asks for something, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol
from uuid import UUID


class Owned(Protocol):
    """What a user may own: an image, or a file of one."""

    @property
    def owner_id(self) -> UUID | None:
        """The user; None where nobody owns it."""


class Access(StrEnum):
    """What somebody without a key may do (setting ACCESS)."""

    OPEN = "open"
    """All that is done with images."""
    UPLOAD = "upload"
    """Upload, and delete by the token that the answer has."""
    KEYS = "keys"
    """Fetch public files."""


class Right(StrEnum):
    """What an actor may do with the images that they reach."""

    UPLOAD = "upload"
    READ = "read"
    """List, search, read metadata, and fetch private files."""
    WRITE = "write"
    """Rename, make private or public, make links."""
    DELETE = "delete"
    KEYS = "keys"
    """Manage one's own API keys."""
    ADMIN = "admin"
    """Manage users, and the keys of everybody."""

    @property
    def scope(self) -> "Scope":
        """What an API key must be for that is to give this right."""
        return next(scope for scope in Scope if self in scope.rights)


class Scope(StrEnum):
    """What an API key may be used for."""

    READ = "read"
    WRITE = "write"
    DELETE = "delete"
    ADMIN = "admin"

    @property
    def rights(self) -> frozenset[Right]:
        """What whoever has a key of this scope may do."""
        return _RIGHTS[self]


_RIGHTS: Final = {
    Scope.READ: frozenset({Right.READ}),
    Scope.WRITE: frozenset({Right.UPLOAD, Right.WRITE}),
    Scope.DELETE: frozenset({Right.DELETE}),
    Scope.ADMIN: frozenset({Right.KEYS, Right.ADMIN}),
}


_NOBODY: Final = UUID(int=0)
"""No user has this id."""


@dataclass(frozen=True, slots=True)
class Actor:
    """The sender of a request, as far as they have been authenticated."""

    rights: frozenset[Right] = frozenset()
    user_id: UUID | None = None
    """Who owns what they upload; None = nobody does."""
    reaches_all: bool = False
    """Whether the images of everybody are theirs to see and to change."""

    def reaches(self, image: Owned) -> bool:
        """Return whether an image is theirs to see and to change."""
        return self.reaches_all or (self.user_id is not None and image.owner_id == self.user_id)

    @property
    def reached_owner(self) -> UUID | None:
        """Whose images are the only ones that they reach; None = they reach those of everybody."""
        return None if self.reaches_all else self.user_id or _NOBODY

    @property
    def may_hide(self) -> bool:
        """Whether they may upload what is not public: only if they reach it afterwards."""
        return self.reached_owner != _NOBODY


_OF_IMAGES: Final = frozenset(Right) - Scope.ADMIN.rights

ADMINISTRATOR: Final = Actor(frozenset(Right), reaches_all=True)
"""Whoever has the key of the setting API_KEY."""
ANONYMOUS: Final = {
    Access.OPEN: Actor(_OF_IMAGES, reaches_all=True),
    Access.UPLOAD: Actor(frozenset({Right.UPLOAD})),
    Access.KEYS: Actor(),
}
"""Somebody without a key."""


def holder_of(scopes: Iterable[Scope], user_id: UUID, *, is_administrator: bool) -> Actor:
    """Return whoever has a key of a user.

    With the scope `admin`, that of an administrator reaches the images of everybody, and manages
    users; that of another user manages their own keys.
    """
    rights = frozenset[Right]().union(*(scope.rights for scope in scopes))
    if not is_administrator:
        rights -= {Right.ADMIN}
    return Actor(rights, user_id, reaches_all=Right.ADMIN in rights)
