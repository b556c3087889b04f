"""nginx in front of services, by the template of `deploy/nginx/` that operators use."""

import os
import re
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from app.commands.front import write_configuration
from app.observability.logs import LogFormat
from testkit.live import TIMEOUT, wait_until
from testkit.programs import NGINX
from testkit.tls import make_certificate


@dataclass(frozen=True)
class Front:
    """A running nginx."""

    port: int
    tls_port: int
    """Where it speaks TLS and HTTP/2; 0 where it does not."""
    path: str
    """Below which the services are; empty = none."""
    folder: Path
    """Where its files are: `cache`, `log` (of requests), `errors`, `localhost.crt`."""
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}{self.path}"

    @property
    def tls_url(self) -> str:
        return f"https://localhost:{self.tls_port}{self.path}"

    @property
    def requests(self) -> list[str]:
        """The lines of its access log, up to a second old."""
        return (self.folder / "log").read_text().splitlines()


@contextmanager
def front(  # noqa: PLR0913 - the values of a configuration
    folder: Path,
    services: Sequence[int],
    images: Path,
    *,
    path: str = "",
    tls: bool = False,
    log_format: LogFormat = "text",
) -> Iterator[Front]:
    """Run nginx on free ports during the block.

    Args:
        folder: Where all its files are; made if it is missing. Its cache stays there.
        services: The ports of the services, which need FRONT=nginx and TRUSTED_PROXIES=127.0.0.1.
        images: The folder of their storage, `DATA_DIR/images`.
        path: The path of their PUBLIC_URL.
        tls: Whether it speaks TLS and HTTP/2 too, with a certificate of localhost.
        log_format: Of its access log.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=2048) as plain,
        socket.create_server(("127.0.0.1", 0), backlog=2048) as encrypted,
        (folder / "errors").open("ab") as errors,
    ):
        port, tls_port = (one.getsockname()[1] for one in (plain, encrypted))
        configuration = write_configuration(
            folder,
            FRONT_LISTEN=f"127.0.0.1:{port}",
            FRONT_SERVERS=" ".join(f"server 127.0.0.1:{one} max_fails=0;" for one in services),
            FRONT_FILES=str(images),
            FRONT_LOG=str(folder / "log"),
            FRONT_LOG_FORMAT=log_format,
            PUBLIC_PATH=path,
        )
        if tls:
            (folder / "include" / "tls.conf").write_text(_tls(folder, tls_port))
        inherited = [plain, encrypted] if tls else [plain]
        for one in inherited:
            one.settimeout(0)  # nginx does so only to those that it opens itself
        process = subprocess.Popen(
            [NGINX, "-c", configuration, "-e", "stderr"],
            env=os.environ | {"NGINX": "".join(f"{one.fileno()};" for one in inherited)},
            pass_fds=[one.fileno() for one in inherited],
            stderr=errors,
        )
    running = Front(port, tls_port if tls else 0, path, folder, process)
    try:
        wait_until(lambda: process.poll() is not None or _answers(running))
        assert process.poll() is None, (folder / "errors").read_text()
        yield running
    finally:
        process.terminate()
        process.wait(TIMEOUT)


def _tls(folder: Path, port: int) -> str:
    """Return the example of TLS with a certificate and port of this machine."""
    certificate, key = make_certificate(folder)
    example = Path(__file__).parents[2] / "deploy" / "nginx" / "tls.conf.example"
    text = example.read_text("utf-8").replace("listen 443 ", f"listen 127.0.0.1:{port} ")
    text = re.sub(r"^(ssl_certificate) .*;", rf"\1 {certificate};", text, flags=re.MULTILINE)
    return re.sub(r"^(ssl_certificate_key) .*;", rf"\1 {key};", text, flags=re.MULTILINE)


def _answers(running: Front) -> bool:
    try:
        httpx.get(f"{running.url}/health/live", timeout=1)
    except httpx.TransportError:
        return False
    return True
