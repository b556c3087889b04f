"""A real nginx between the browser and the service."""

import os
import pwd
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live import PATIENCE
from tests.programs import NGINX

_CONFIGURATION = """
daemon off;
user {user};
worker_processes 1;
pid nginx.pid;
error_log error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
    fastcgi_temp_path fastcgi;
    uwsgi_temp_path uwsgi;
    scgi_temp_path scgi;
    server {{
        listen 127.0.0.1:{port};
        location / {{ proxy_pass {url}; }}
        {locations}
    }}
}}
"""


@contextmanager
def nginx_before(url: str, folder: Path, locations: str = "") -> Iterator[str]:
    """Run nginx with its defaults before a service, but for some locations; give its address.

    It inherits a socket that listens already, so its port is free and nobody comes too early.
    """
    configuration = folder / "nginx.conf"
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        user = pwd.getpwuid(os.getuid()).pw_name
        configuration.write_text(
            _CONFIGURATION.format(user=user, port=port, url=url, locations=locations)
        )
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [NGINX, "-p", str(folder), "-e", "error.log", "-c", str(configuration)],
            env=os.environ | {"NGINX": f"{listener.fileno()};"},
            pass_fds=[listener.fileno()],
        )
        try:
            yield f"http://127.0.0.1:{port}"
            assert process.poll() is None, (folder / "error.log").read_text()
        finally:
            process.terminate()
            process.wait(PATIENCE)
