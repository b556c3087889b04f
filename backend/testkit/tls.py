"""TLS between a client and a server that has none, and a certificate for it."""

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from testkit.programs import OPENSSL

SSL_REQUEST_BYTES = 8


def make_certificate(folder: Path) -> tuple[Path, Path]:
    """Make a certificate of localhost that nobody has signed; return it and its key."""
    certificate, key = folder / "localhost.crt", folder / "localhost.key"
    subprocess.run(
        [
            *(OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"),
            *("-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"),
            *("-out", certificate, "-keyout", key),
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@contextmanager
def in_front_of(
    port: int, certificate: Path, key: Path, *, asked_for: bool = False
) -> Iterator[int]:
    """Accept TLS at a port, which is yielded, and pass on what is in it.

    Args:
        port: That of the server.
        certificate: What the server shows.
        key: That of the certificate.
        asked_for: Whether clients ask for TLS first, as those of PostgreSQL do.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    def serve(plain: socket.socket) -> None:
        with suppress(OSError), plain:
            if asked_for:
                plain.recv(SSL_REQUEST_BYTES)
                plain.sendall(b"S")
            with (
                context.wrap_socket(plain, server_side=True) as client,
                socket.create_connection(("127.0.0.1", port)) as server,
            ):
                threading.Thread(target=copy, args=(server, client), daemon=True).start()
                copy(client, server)

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
