"""API keys on the wire."""

from datetime import datetime
from typing import Annotated, Final, Self
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from app.domain.actor import Scope
from app.domain.user import DEFAULT_SCOPES, MAX_LIFETIME, ApiKey
from app.services.keys import CreatedKey

EXAMPLE_PREFIX: Final = "ih_5fKq29Lz"
_EXAMPLE_KEY: Final = f"{EXAMPLE_PREFIX}_NHsL2yPq0m3C7bTfVw8xR1uZkEdJ4gYiA6oQ9sXnBvM"
EXAMPLE_USER: Final = "6f1b6ee4-0f8f-4b8e-9d0c-5d0f5a4f2f11"

# In place: a body is described where nothing that it refers to would be found.
_Scope = Annotated[Scope, WithJsonSchema({"type": "string", "enum": [*map(str, Scope)]})]
Scopes = Annotated[
    list[_Scope],
    Field(
        description="`read` lists images and fetches private ones, `write` uploads and changes "
        "them, `delete` deletes them; `admin` manages the keys of its user, and of an "
        "administrator everything",
        examples=[list(DEFAULT_SCOPES)],
    ),
]


class NewKeyIn(BaseModel):
    """A key that is to be created."""

    model_config = ConfigDict(extra="forbid", strict=True)

    user_id: UUID | None = Field(
        None,
        description="Whose key it is to be; without it, the user's whose key the request is sent "
        "with. Administrators may name others",
        examples=[EXAMPLE_USER],
    )
    scopes: Scopes = Field(list(DEFAULT_SCOPES), min_length=1, max_length=len(Scope))
    expires_in: int | None = Field(
        None,
        ge=1,
        le=int(MAX_LIFETIME.total_seconds()),
        description="Seconds after which it is valid no more; without it, it is until revoked",
        examples=[90 * 24 * 3600],
    )


class KeyOut(BaseModel):
    """An API key, without its secret."""

    id: UUID
    user_id: UUID = Field(examples=[EXAMPLE_USER])
    prefix: str = Field(description="How it begins", examples=[EXAMPLE_PREFIX])
    scopes: Scopes
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None = Field(description="To the minute; null until then")
    revoked_at: datetime | None

    @classmethod
    def of(cls, key: ApiKey) -> Self:
        """Return what is shown of a key."""
        return cls.model_validate(key._asdict())


class CreatedKeyOut(KeyOut):
    """A new API key."""

    key: str = Field(
        description="What requests are sent with; it is shown here and never again",
        examples=[_EXAMPLE_KEY],
    )

    @classmethod
    def of_created(cls, created: CreatedKey) -> Self:
        """Return what is shown of a new key, once."""
        return cls.model_validate(created.described._asdict() | {"key": created.key})


class KeyList(BaseModel):
    """The keys of a user, the newest first: those that are valid, and those that were."""

    items: list[KeyOut]
