"""What an error looks like on the wire: problem details (RFC 9457)."""

from pydantic import BaseModel, Field

PROBLEM_MEDIA_TYPE = "application/problem+json"


class InvalidInput(BaseModel):
    """One part of a request that is missing or bad."""

    location: str = Field(alias="in", examples=["query"], description="body, query, path or header")
    field: str = Field(examples=["limit"], description="Name of the field or parameter")
    detail: str = Field(examples=["Input should be less than or equal to 100"])


class ProblemDetails(BaseModel):
    """An error. `type` identifies its kind; the other members are for people."""

    type: str = Field(description="Address of the description of this kind of error")
    title: str = Field(description="Short name of this kind of error")
    status: int = Field(description="The HTTP status code again")
    detail: str = Field(description="What went wrong this time, in one plain sentence")
    limit: str | None = Field(None, description="With an error about a limit: the limit's name")
    allowed: int | None = Field(None, description="With an error about a limit: its value")
    actual: int | None = Field(
        None,
        description="With an error about a limit: what there was instead, or had been counted "
        "when reading stopped",
    )
    used: int | None = Field(None, description="With an error about a quota: what is used of it")
    needed: int | None = Field(
        None, description="With an error about a quota: what the file needs, or at least needs"
    )
    errors: list[InvalidInput] | None = Field(None, description="With 422: each bad input")
