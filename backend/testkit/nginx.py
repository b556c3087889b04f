"""Debian's nginx with any configuration, all its files in a folder of its own.

The one that operators use is in `testkit/front.py`.
"""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from testkit.live import TIMEOUT, wait_until
from testkit.programs import NGINX

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
    {site}
}}
"""
_SITE = """
client_max_body_size 60m;
upstream image_host {{
    server {service};
}}
server {{
    listen 127.0.0.1:{port};
    absolute_redirect off;
    {locations}
}}
"""


def site_of(locations: str, listener: socket.socket, service_url: str) -> str:
    """Configure a site whose locations may use `image_host`."""
    service = service_url.removeprefix("http://")
    return _SITE.format(service=service, port=_port(listener), locations=locations)


@contextmanager
def nginx(folder: Path, site: str, listener: socket.socket) -> Iterator[None]:
    """Serve a site on a socket that listens already."""
    listener.settimeout(0)  # nginx does so only to those that it opens itself
    configuration = folder / "nginx.conf"
    user = pwd.getpwuid(os.getuid()).pw_name
    configuration.write_text(_CONFIGURATION.format(user=user, folder=folder, site=site), "utf-8")
    with (folder / "nginx.log").open("wb") as log:
        process = subprocess.Popen(
            [NGINX, "-p", folder, "-c", configuration, "-e", "stderr"],
            env=os.environ | {"NGINX": f"{listener.fileno()};"},  # a socket that it inherits
            pass_fds=[listener.fileno()],
            stderr=log,
        )
    try:
        port = _port(listener)
        wait_until(lambda: process.poll() is not None or _answers(port))
        assert process.poll() is None, (folder / "nginx.log").read_text()
        yield
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _port(listener: socket.socket) -> int:
    port: int = listener.getsockname()[1]
    return port


def _answers(port: int) -> bool:
    try:
        httpx.get(f"http://127.0.0.1:{port}/", timeout=1)
    except httpx.TransportError:
        return False
    return True
