"""The HTTP server of one process: uvicorn's, stopped without losing a request (ADR 30)."""

import asyncio
import logging
import select
import socket
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import uvicorn
from fastapi import FastAPI

from app.config.settings import Settings
from app.observability.metrics.sampling import sampled
from app.observability.observer import SILENT, Observer
from app.server.http_protocol import BoundedHttpProtocol, bounded_protocol
from app.server.process_handle import BEAT_SECONDS, DRAIN_SECONDS

HANDSHAKE_SECONDS: Final = 0.1
"""How long connections that have begun may take to arrive in the backlog."""
BACKLOG_SECONDS: Final = 5.0
"""How long a backlog may take to be accepted."""
IDLE_SECONDS: Final = 0.5
"""How long a connection without a request stays open for one that may be on its way."""
CUT_SECONDS: Final = 3.0
"""How long requests may take to end when their connection has been cut off."""

_log = logging.getLogger(__name__)


class Server(uvicorn.Server):
    """Serves an application until `handle_exit` is called.

    Args:
        app: The application; its lifespan runs here, so that its errors reach the caller of `run`.
        settings: Its bounds.
        listener: Where connections arrive; closed at the end.
        beat: Called when it serves, and then every BEAT_SECONDS.
        observer: Told what is refused, and what is in progress.
    """

    def __init__(
        self,
        app: FastAPI,
        settings: Settings,
        listener: socket.socket,
        beat: Callable[[], Awaitable[None]],
        observer: Observer = SILENT,
    ) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                log_config=None,
                access_log=False,
                server_header=False,
                proxy_headers=False,
                http=bounded_protocol(settings.max_connections, observer),
                ws="none",
                lifespan="off",
                backlog=settings.backlog,
                timeout_keep_alive=settings.keep_alive_seconds,
                callback_notify=beat,
                timeout_notify=BEAT_SECONDS,
            )
        )
        self._app = app
        self._listener = listener
        self._observer = observer
        observer.watch_requests(lambda: len(self.server_state.tasks))

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        """Run the application's lifespan, and serve in it; signals are left to the caller."""
        async with (
            sampled(self._observer, "service"),
            self._app.router.lifespan_context(self._app) as state,
        ):
            self._state = dict(state or {})
            await self._serve(sockets or [self._listener])

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        self.lifespan.state.update(self._state)
        await super().startup(sockets)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:  # noqa: ARG002
        """Answer every request that has reached the service, each with `Connection: close`.

        An idle connection is closed when a request that its client sent before it could know must
        have arrived.
        """
        if drain := self._state.get("drain"):
            drain.set()
        self.server_state.default_headers = [
            *self.server_state.default_headers,
            (b"connection", b"close"),
        ]
        for connection in self.server_state.connections:
            if isinstance(connection, BoundedHttpProtocol):
                connection.end_with_answer()
        await self._empty_backlog()
        await asyncio.sleep(IDLE_SECONDS)
        for connection in list(self.server_state.connections):
            connection.shutdown()
        if not await self._ends(DRAIN_SECONDS, or_forced=True):
            _log.warning("%s connections are cut off", len(self.server_state.connections))
            for connection in list(self.server_state.connections):
                connection.transport.abort()  # for the application: the client has left
            await self._ends(CUT_SECONDS)

    async def _ends(self, seconds: float, *, or_forced: bool = False) -> bool:
        """Wait until all connections and requests have ended; return whether they have."""
        state = self.server_state
        with suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                # Polled, for uvicorn has no event for it.
                while (state.connections or state.tasks) and not (or_forced and self.force_exit):  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
        return not (state.connections or state.tasks)

    async def _empty_backlog(self) -> None:
        await asyncio.sleep(HANDSHAKE_SECONDS)
        waiting = select.poll()
        waiting.register(self._listener, select.POLLIN)
        with suppress(TimeoutError):
            async with asyncio.timeout(BACKLOG_SECONDS):
                while waiting.poll(0):  # noqa: ASYNC110 - the loop accepts in each turn
                    await asyncio.sleep(0)
        for server in self.servers:
            server.close()
        self._listener.close()
