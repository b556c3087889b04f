"""Debian's nginx in front of the service, with all its files in a folder of its own."""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.live import PATIENCE, wait_until
from tests.programs import NGINX

_CONFIGURATION = """
daemon off;
user {user};
error_log stderr warn;
pid {folder}/nginx.pid;
events {{}}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    client_max_body_size 60m;
    upstream image_host {{
        server {service};
    }}
    server {{
        listen 127.0.0.1:{port};
        absolute_redirect off;
        {locations}
    }}
}}
"""


@contextmanager
def nginx(
    folder: Path, locations: str, listener: socket.socket, service_url: str
) -> Iterator[None]:
    """Run a server on a socket that listens already; its locations may use `image_host`."""
    port = listener.getsockname()[1]
    configuration = folder / "nginx.conf"
    text = _CONFIGURATION.format(
        user=pwd.getpwuid(os.getuid()).pw_name,
        folder=folder,
        port=port,
        locations=locations,
        service=service_url.removeprefix("http://"),
    )
    configuration.write_text(text, "utf-8")
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [NGINX, "-p", folder, "-c", configuration, "-e", "stderr"],
            env=os.environ | {"NGINX": f"{listener.fileno()};"},  # a socket that it inherits
            pass_fds=[listener.fileno()],
            stderr=log,
        )
    try:
        wait_until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.TransportError:
        return False
    return True
