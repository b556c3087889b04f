"""Debian's PostgreSQL, which brings extensions that the embedded one lacks."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import chown
from tempfile import TemporaryDirectory
from typing import Final

from sqlalchemy.engine import URL

from testkit.live import TIMEOUT, wait_until
from testkit.programs import POSTGRES

PORT: Final = 5432
"""In the name of its socket; nothing listens on TCP, where it might be taken."""
ADMINISTRATOR: Final = "postgres"


@contextmanager
def contrib_postgres(*libraries: str) -> Iterator[URL]:
    """Run a PostgreSQL in a folder of its own; yield its address, as its administrator.

    Args:
        libraries: Loaded at its start.
    """
    owner = None if os.getuid() else "nobody"  # root it refuses to be
    with TemporaryDirectory(prefix="image-host-contrib-") as name:
        if owner:
            chown(name, owner)
        data = Path(name) / "data"
        initdb = Path(POSTGRES).with_name("initdb")
        arguments = ("--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync")
        subprocess.run(
            [initdb, "-D", data, "-U", ADMINISTRATOR, *arguments],
            user=owner,
            cwd="/",
            check=True,
            stdout=subprocess.DEVNULL,
        )
        settings = {
            "listen_addresses": "",
            "port": PORT,
            "unix_socket_directories": name,
            "shared_preload_libraries": ",".join(libraries),
            "fsync": "off",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        with (Path(name) / "log").open("wb") as log:
            process = subprocess.Popen(
                [POSTGRES, "-D", data, *options], user=owner, cwd="/", stdout=log, stderr=log
            )
        try:
            wait_until(lambda: "ready to accept" in (Path(name) / "log").read_text())
            yield URL.create(
                "postgresql+asyncpg",
                username=ADMINISTRATOR,
                database=ADMINISTRATOR,
                query={"host": name, "port": str(PORT)},
            )
        finally:
            process.send_signal(signal.SIGINT)  # ends sessions, too
            process.wait(TIMEOUT)
