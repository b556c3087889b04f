"""PgBouncer from Debian between a test and its database."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown
from tempfile import TemporaryDirectory
from typing import Final, Literal

from sqlalchemy.engine import URL

from testkit.live import TIMEOUT, wait_until
from testkit.programs import PGBOUNCER

PoolMode = Literal["session", "transaction", "statement"]

PORT: Final = 6432
"""In the name of its socket; nothing listens on TCP, where it might be taken."""
_CONFIG: Final = """
[databases]
* = {server}
[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {folder}
auth_type = {auth}
auth_file = {folder}/users
pool_mode = {mode}
default_pool_size = {servers}
logfile = {folder}/log
"""


@contextmanager
def pooled(
    database: URL, mode: PoolMode = "transaction", *, servers: int = 3, password: str = ""
) -> Iterator[URL]:
    """Run a PgBouncer in a folder of its own; yield the address of the database through it.

    Args:
        database: The database itself.
        mode: When a server is handed to the next client.
        servers: Most connections to the database.
        password: What PgBouncer asks the user of the address for; empty = it asks for nothing.
    """
    host = database.query.get("host") or database.host or ""
    assert isinstance(host, str)
    server = {
        "host": host,
        "port": database.port or 5432,
        "user": database.username,
        "password": database.password,
    }
    # Root it refuses to be; the socket of a database that root runs only its owner may reach.
    owner = (Path(host).owner() if host.startswith("/") else "nobody") if not os.getuid() else None
    with TemporaryDirectory(prefix="image-host-pooler-") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{database.username}" "{password}"\n')
        (folder / "config").write_text(
            _CONFIG.format(
                server=" ".join(f"{key}={value}" for key, value in server.items() if value),
                port=PORT,
                folder=folder,
                auth="plain" if password else "any",
                mode=mode,
                servers=servers,
            )
        )
        if owner:
            chown(folder, owner)
        process = subprocess.Popen([PGBOUNCER, "--quiet", folder / "config"], user=owner)
        try:
            wait_until((folder / f".s.PGSQL.{PORT}").exists)
            yield database.set(host=None, port=None).update_query_dict(
                {"host": name, "port": str(PORT)}
            )
        finally:
            process.terminate()
            process.wait(TIMEOUT)
