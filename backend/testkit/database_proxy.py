"""A proxy between the service and its database that fails exactly where a test wants it to.

It understands as much of PostgreSQL's protocol as it takes to see which statement a message
carries out: https://www.postgresql.org/docs/current/protocol-message-formats.html
"""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, Literal, cast

from sqlalchemy.engine import URL

from testkit.live import TIMEOUT, wait_until

_ENCRYPTION_REQUESTS: Final = (80877103, 80877104)
"""TLS and GSSAPI; refused, so that the proxy can read what follows."""

Cut = Literal["before", "after"]
Fault = Cut | Literal["hold"]


class DatabaseProxy:
    """Passes everything on until a fault is ordered. Its methods may be called from any thread.

    Args:
        url: The address of the database itself.
    """

    def __init__(self, url: URL) -> None:
        self._database = url
        self._loop = asyncio.new_event_loop()
        self._open = asyncio.Event()
        self._open.set()
        self._sessions: set[asyncio.Task[None]] = set()
        self._dropped: set[asyncio.Task[None]] = set()
        self._fault: tuple[str, Fault] | None = None
        self.delay = 0.0
        """Seconds that each message to the database takes longer."""
        self.statements: list[str] = []
        """What the service has had carried out."""
        self.cuts = 0
        """How many connections have been cut."""
        self.port = 0

    @property
    def url(self) -> URL:
        """The address of the proxy, for the service."""
        direct = self._database.difference_update_query(["host", "port"])
        return direct.set(host="127.0.0.1", port=self.port)

    def cut(self, statement: str, when: Cut) -> None:
        """Cut the connection that next carries out a statement beginning like this, once.

        "before": the database never hears of it. "after": the database carries it out and says
        so, but its answer is lost.
        """
        self._fault = (statement, when)

    def hold(self) -> None:
        """Let nothing pass in either direction, connected or not, as a dead network does."""
        holds = threading.Event()
        self._loop.call_soon_threadsafe(self._open.clear)
        self._loop.call_soon_threadsafe(holds.set)
        assert holds.wait(TIMEOUT)

    def hold_at(self, statement: str) -> None:
        """Begin to hold when a statement that begins like this is on its way to the database."""
        self._fault = (statement, "hold")

    def drop(self) -> None:
        """Forget the connections that there are, as NAT does: nobody hears of it, new ones work."""
        dropped = threading.Event()
        self._loop.call_soon_threadsafe(lambda: self._dropped.update(self._sessions))
        self._loop.call_soon_threadsafe(dropped.set)
        assert dropped.wait(TIMEOUT)

    def lead_to(self, url: URL) -> None:
        """Connect to another database from now on; the connections that there are stay."""
        self._database = url

    def release(self) -> None:
        """Let everything pass again."""
        self._loop.call_soon_threadsafe(self._open.set)

    @contextmanager
    def running(self) -> Iterator["DatabaseProxy"]:
        """Listen, in a thread."""
        thread = threading.Thread(target=self._run)
        thread.start()
        try:
            wait_until(lambda: self.port)
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            thread.join(TIMEOUT)

    def _run(self) -> None:
        self._stop = asyncio.Event()
        self._loop.run_until_complete(self._listen())
        self._loop.close()

    async def _listen(self) -> None:
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        await self._stop.wait()
        server.close()
        for session in self._sessions:
            session.cancel()
        await asyncio.gather(*self._sessions, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        session = self._loop.create_task(self._serve(reader, writer))
        self._sessions.add(session)
        session.add_done_callback(self._sessions.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve one connection until one of its two ends closes, or it is cut."""
        with _closing(writer), suppress(OSError, EOFError):
            await self._open.wait()
            database_reader, database_writer = await self._connect()
            with _closing(database_writer):
                database_writer.write(await _startup(reader, writer))
                session = _Session(self, (reader, writer), (database_reader, database_writer))
                await session.run()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        url = self._database
        port = url.port or 5432
        folder = url.query.get("host")
        if folder:
            return await asyncio.open_unix_connection(f"{folder}/.s.PGSQL.{port}")
        return await asyncio.open_connection(url.host or "127.0.0.1", port)

    async def pass_through(
        self, session: asyncio.Task[None], message: bytes, writer: asyncio.StreamWriter
    ) -> None:
        """Hand a message on, unless nothing may pass at the moment."""
        await self._open.wait()
        if session in self._dropped:
            return
        writer.write(message)
        await writer.drain()

    def take_fault(self, statement: str) -> Fault | None:
        """Begin the fault of this statement, once; return it."""
        self.statements.append(statement)
        if self._fault and statement.lstrip().startswith(self._fault[0].lstrip()):
            (_, fault), self._fault = self._fault, None
            if fault == "hold":
                self._open.clear()
            else:
                self.cuts += 1
            return fault
        return None


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class _Session:
    """One connection after its first message, in both directions."""

    def __init__(self, proxy: DatabaseProxy, client: Stream, database: Stream) -> None:
        self._proxy = proxy
        self._client = client
        self._database = database
        self._task = cast("asyncio.Task[None]", asyncio.current_task())
        self._prepared: dict[bytes, str] = {}
        self._answer_is_lost = False

    async def run(self) -> None:
        directions = {
            asyncio.create_task(self._to_database()),
            asyncio.create_task(self._to_client()),
        }
        try:
            await asyncio.wait(directions, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for direction in directions:
                direction.cancel()
            await asyncio.gather(*directions, return_exceptions=True)

    async def _to_database(self) -> None:
        while True:
            message = await _message(self._client[0])
            statement = self._carried_out_by(message)
            if statement is not None:
                match self._proxy.take_fault(statement):
                    case "before":
                        return
                    case "after":
                        self._answer_is_lost = True
            await asyncio.sleep(self._proxy.delay)
            await self._proxy.pass_through(self._task, message, self._database[1])

    async def _to_client(self) -> None:
        while True:
            message = await _message(self._database[0])
            if not self._answer_is_lost:
                await self._proxy.pass_through(self._task, message, self._client[1])
            elif message.startswith(b"Z"):  # ready for the next one: this one is done
                return

    def _carried_out_by(self, message: bytes) -> str | None:
        """Return the statement that a message asks to execute, if it does."""
        kind, body = message[:1], message[5:]
        match kind:
            case b"Q":  # query
                return body[:-1].decode()
            case b"P":  # parse: a name for a statement
                name, statement, _ = body.split(b"\0", 2)
                self._prepared[name] = statement.decode()
            case b"B":  # bind: what will be carried out next
                return self._prepared[body.split(b"\0", 2)[1]]
        return None


async def _startup(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
    """Read the first message, which alone has no letter for its kind."""
    while True:
        length = await reader.readexactly(4)
        body = await reader.readexactly(int.from_bytes(length) - 4)
        if int.from_bytes(body[:4]) not in _ENCRYPTION_REQUESTS:
            return length + body
        writer.write(b"N")


async def _message(reader: asyncio.StreamReader) -> bytes:
    head = await reader.readexactly(5)
    return head + await reader.readexactly(int.from_bytes(head[1:]) - 4)


@contextmanager
def _closing(writer: asyncio.StreamWriter) -> Iterator[None]:
    """Close a connection at the end, whether or not what was written has left."""
    try:
        yield
    finally:
        writer.transport.abort()
