"""Debian's nginx in front of services, with the example configurations of `deploy/nginx/`."""

import os
import re
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.live import PATIENCE, wait_until
from tests.programs import NGINX

EXAMPLES = Path(__file__).parents[3] / "deploy" / "nginx"


@contextmanager
def nginx(folder: Path, example: str, ports: Sequence[int]) -> Iterator[str]:
    """Run nginx with one of the examples, changed where it says so; give its address."""
    folder.mkdir()
    port = free_port()
    site = (EXAMPLES / example).read_text()
    site = re.sub(r"listen 80\b", f"listen 127.0.0.1:{port}", site)
    servers = "".join(f"    server 127.0.0.1:{number} max_fails=0;\n" for number in ports)
    site = re.sub(r"^    server 127\.0\.0\.1:8000 .*\n", servers, site, flags=re.MULTILINE)
    (folder / "site.conf").write_text(site)
    scratch = "".join(
        f"  {name}_temp_path {folder / name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    user = "user root;\n" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(
        f"{user}daemon off;\npid {folder}/pid;\nevents {{}}\n"
        f"http {{\n  access_log off;\n{scratch}  include {folder}/site.conf;\n}}\n"
    )
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(  # noqa: S603 - our own arguments
            [NGINX, "-e", "stderr", "-c", str(folder / "nginx.conf")], stdout=log, stderr=log
        )
    try:
        wait_until(lambda: accepts(port) or process.poll() is not None)
        assert process.poll() is None, (folder / "log").read_text()
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE)


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except ConnectionRefusedError:
        return False
    return True


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port
