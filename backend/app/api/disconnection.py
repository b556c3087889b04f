"""Waiting for something on behalf of a client, as long as the client waits too."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

_Result = TypeVar("_Result")


async def while_connected(request: Request, work: Coroutine[Any, Any, _Result]) -> _Result:
    """Return the result of some work, which is cancelled when the client disconnects.

    Raises:
        ClientDisconnect: If it does.
    """
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
        leaving.result()
        raise ClientDisconnect
    finally:
        working.cancel()
        leaving.cancel()
        await asyncio.wait((working, leaving))


async def _disconnected(request: Request) -> None:
    """Wait until the client disconnects; what it still sends is discarded."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
