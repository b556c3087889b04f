"""Calls that may be repeated: with the same Idempotency-Key, they store and answer once (ADR 0065).

The header is that of draft-ietf-httpapi-idempotency-key-header. Requests without it pass.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import APIRoute
from starlette.status import HTTP_300_MULTIPLE_CHOICES

from app.api.context import get_context
from app.api.forms.rejections import CALLS
from app.api.forms.request import read_form
from app.domain.actor import Actor, Right
from app.domain.ip_address import IpAddress
from app.domain.limits import subscriber_of
from app.services.idempotency import keyed_files

MAX_KEY: Final = 255
KEY: Final = re.compile(f"[!-~]{{1,{MAX_KEY}}}")
KEY_NAME: Final = "Idempotency-Key"
_SENTENCE: Final = f"An Idempotency-Key has 1 to {MAX_KEY} visible ASCII characters, no spaces."
KEY_PARAMETER: Final = {
    "name": KEY_NAME,
    "in": "header",
    "required": False,
    "description": "A key of your own making for this one request, such as a UUID. Sent again with "
    "the same key within 24 hours, the request stores nothing twice, and is answered as the first "
    "time; while that is under way with 409, and with 422 if it is another request. What stored no "
    "file at all is forgotten.",
    "schema": {"type": "string", "pattern": f"^{KEY.pattern}$"},
    "examples": {"uuid": {"value": "5f0c4b1e-0d5a-4b57-9c3f-8f6c7a1e2d34"}},
}
"""Describes the header for OpenAPI."""

Handler = Callable[[Request], Coroutine[Any, Any, Response]]


class RepeatableRoute(APIRoute):
    """A route that takes files, whose requests may have an Idempotency-Key.

    Its function is called with request, context and actor, without what FastAPI does for a route:
    that takes a tenth of an upload (ADR 35). The parameters are declared for the OpenAPI document.
    """

    def get_route_handler(self) -> Handler:
        """Return what answers its requests."""
        field = next(field for field, path in CALLS.items() if path == self.path)

        async def handle(request: Request) -> Response:
            context = await get_context(request)
            actor = await context.require(Right.UPLOAD)
            response: Response = await self.endpoint(request, context, actor)
            return response

        async def answer(request: Request) -> Response:
            key = request.headers.get(KEY_NAME)
            return await (handle(request) if key is None else _once(request, key, field, handle))

        return answer


async def _once(
    request: Request, key: str, field: str, handle: Callable[[Request], Awaitable[Response]]
) -> Response:
    """Answer a request with a key: as it was answered before, or by carrying it out."""
    if not KEY.fullmatch(key):
        raise RequestValidationError([{"loc": ("header", KEY_NAME), "msg": _SENTENCE}])
    context = await get_context(request)
    sender = _sender(await context.require(Right.UPLOAD), context.client_address)
    idempotency = context.services.idempotency
    async with idempotency.keyed(sender, key, field) as keyed:
        if keyed.answer:
            async for _ in keyed_files(keyed, read_form(request, field).files(field)):
                pass
            _, status, location, body = keyed.answer
            headers = {"Location": location} if location else None
            return Response(body, status, headers, "application/json")
        context.keyed = keyed
        response = await handle(request)
        if response.status_code < HTTP_300_MULTIPLE_CHOICES and keyed.is_final:
            location = response.headers.get("location")
            await idempotency.keep(keyed, response.status_code, location, bytes(response.body))
        return response


def _sender(actor: Actor, address: IpAddress) -> str:
    """Return whose key it is: a user's, the administrator's, or that of an address."""
    if actor.user_id:
        return f"user {actor.user_id}"
    if Right.ADMIN in actor.rights:
        return "administrator"
    return f"address {subscriber_of(address)}"
