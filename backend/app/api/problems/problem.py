"""A kind of problem, and an answer that says so (RFC 9457, ADR 0007)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self

from fastapi.responses import JSONResponse
from starlette.types import Receive, Scope, Send

from app.schemas.problem import PROBLEM_MEDIA_TYPE

PROBLEMS_PATH: Final = "/problems"
PROBLEM: Final = "image_host.problem"
"""Under which a scope has the slug of the problem that its request was answered with."""
FILE_PROBLEMS: Final = "image_host.file_problems"
"""Under which it has the slugs of why files of its batch were refused."""
RETRY_AFTER_SECONDS: Final = 5
"""When to retry while something is unavailable or overloaded."""


@dataclass(frozen=True, slots=True)
class Problem:
    """A kind of error."""

    slug: str
    status: int
    advice: str
    """What whoever meets it can do, for the page that `type` leads to."""
    example: str | Exception
    """An exception that has this kind; or a `detail`, where no exception has."""
    example_members: Mapping[str, Any] = field(default_factory=dict, hash=False)
    """Extension members that go with the detail."""
    exact_title: str = ""
    """Where the title is not the slug in words."""

    @property
    def title(self) -> str:
        """Its short name, for people."""
        return self.exact_title or self.slug.replace("-", " ").capitalize()

    @property
    def type(self) -> str:
        """The URL of its description: stable, and relative to the service (ADR 0007, 0022)."""
        return f"{PROBLEMS_PATH}#{self.slug}"

    def body(self, detail: str | None = None, **members: object) -> dict[str, Any]:
        """Return the problem details object, with extension members."""
        return {
            "type": self.type,
            "title": self.title,
            "status": self.status,
            "detail": detail or str(self.example),
            **members,
        }

    def response(
        self,
        detail: str | None = None,
        headers: Mapping[str, str] | None = None,
        **members: object,
    ) -> "ProblemResponse":
        """Return an answer with this problem, which no cache may store."""
        common = {"Cache-Control": "no-store"}
        if self.status == HTTPStatus.SERVICE_UNAVAILABLE:
            common["Retry-After"] = str(RETRY_AFTER_SECONDS)
        return ProblemResponse(
            self.body(detail, **members), self.status, {**common, **(headers or {})}
        )


class ProblemResponse(JSONResponse):
    """An answer with a problem, whose `type` begins with the path of PUBLIC_URL, if it has one."""

    media_type = PROBLEM_MEDIA_TYPE

    def __init__(self, body: Mapping[str, Any], status: int, headers: Mapping[str, str]) -> None:
        super().__init__(body, status, headers)
        self._body = body
        self._slug = str(body["type"]).rpartition("#")[2]

    def below(self, path: str) -> Self:
        """Return this answer as of a service that clients reach below a path."""
        if path:
            self.body = self.render({**self._body, "type": path + self._body["type"]})
            self.headers["content-length"] = str(len(self.body))
        return self

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the answer."""
        scope[PROBLEM] = self._slug
        if state := scope.get("state"):
            self.below(state["settings"].public_path)
        await super().__call__(scope, receive, send)
