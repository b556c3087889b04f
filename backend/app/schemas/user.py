"""Users on the wire."""

from datetime import datetime
from typing import Annotated, Any, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.domain.actor import Actor, Right, Scope
from app.domain.user import (
    EMAIL_PATTERN,
    MAX_EMAIL,
    MAX_QUOTA_BYTES,
    MAX_QUOTA_IMAGES,
    Deletion,
    User,
    UserChanges,
    UserRole,
)
from app.schemas.key import EXAMPLE_USER

_EXAMPLE_EMAIL = "ada@example.org"

Email = Annotated[str, Field(examples=[_EXAMPLE_EMAIL])]
Role = Annotated[
    UserRole,
    WithJsonSchema({"type": "string", "enum": [*map(str, UserRole)]}),
    Field(description="An `admin` manages users, and the images of everybody"),
]
QuotaBytes = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_QUOTA_BYTES,
        description="Most bytes of their originals in all; null = unlimited",
        examples=[10_000_000_000],
    ),
]
QuotaImages = Annotated[
    int | None,
    Field(
        ge=0,
        le=MAX_QUOTA_IMAGES,
        description="Most images; null = unlimited",
        examples=[10_000],
    ),
]


class NewUserIn(BaseModel):
    """A user who is to be added."""

    model_config = ConfigDict(extra="forbid", strict=True)

    email: str = Field(
        pattern=EMAIL_PATTERN,
        max_length=MAX_EMAIL,
        description="In ASCII; upper and lower case are the same",
        examples=[_EXAMPLE_EMAIL],
    )
    role: Role = UserRole.USER
    quota_bytes: QuotaBytes = None
    quota_images: QuotaImages = None


def _without_defaults(schema: dict[str, Any]) -> None:
    """Describe no default, which clients might send: what is left out stays as it is."""
    for described in schema["properties"].values():
        described.pop("default", None)


class UserChangesIn(BaseModel):
    """What is to be changed of a user; what is left out stays."""

    model_config = ConfigDict(extra="forbid", strict=True, json_schema_extra=_without_defaults)

    role: Role = UserRole.USER
    quota_bytes: QuotaBytes = None
    quota_images: QuotaImages = None
    disabled: bool = Field(
        default=False, description="Whether their keys are refused, from a second later on"
    )

    def changes(self) -> UserChanges:
        """Return those that were sent."""
        sent: UserChanges = {}
        for name in self.model_fields_set:
            sent[name] = getattr(self, name)  # type: ignore[literal-required]  # of the same names
        return sent


class UserOut(BaseModel):
    """A user."""

    id: UUID = Field(examples=[EXAMPLE_USER])
    email: Email
    role: Role
    quota_bytes: QuotaBytes
    quota_images: QuotaImages
    used_bytes: int = Field(description="Of their originals in all", examples=[5_120_000])
    used_images: int = Field(examples=[12])
    created_at: datetime
    disabled_at: datetime | None = Field(description="Since when their keys are refused")
    deletion: Deletion | None = Field(
        description="They are being deleted: what is done with their images before"
    )

    @classmethod
    def of(cls, user: User) -> Self:
        """Return what is shown of a user."""
        return cls.model_validate(user._asdict())


class UserList(BaseModel):
    """A page of users, in the order of their emails."""

    items: list[UserOut]
    next_cursor: str | None = Field(description="Of the next page; null = this is the last one")


class HolderOut(BaseModel):
    """Whoever has the key that a request is sent with."""

    user: UserOut | None = Field(
        description="Whose key it is; null where it is the key of the setting API_KEY"
    )
    scopes: list[Scope] = Field(description="What the key is for")
    is_administrator: bool = Field(
        description="Whether users, and the images of everybody, are theirs to manage"
    )

    @classmethod
    def of(cls, actor: Actor, user: User | None) -> Self:
        """Return what is shown to an actor of themselves."""
        return cls(
            user=user and UserOut.of(user),
            scopes=[scope for scope in Scope if scope.rights & actor.rights],
            is_administrator=Right.ADMIN in actor.rights,
        )
