"""Requests written by hand on a real socket, and their answers."""

import socket
from pathlib import Path

from testkit.forms import CONTENT_TYPE
from testkit.live import LiveServer

UPLOAD = "/api/v1/images/upload"
BATCH = "/api/v1/images/batch"
SMUGGLED = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
"""A request hidden in another one."""


def head(path: str, *headers: str) -> bytes:
    """Write the head of a POST."""
    lines = [
        f"POST {path} HTTP/1.1",
        "Host: images.localhost",
        f"Content-Type: {CONTENT_TYPE}",
        *headers,
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def read_to_end(client: socket.socket) -> bytes:
    answer = b""
    while received := client.recv(65536):
        answer += received
    return answer


def ask(server: LiveServer, *pieces: bytes) -> bytes:
    """Send requests and the end of them, then read until the server closes too."""
    with server.connect() as client:
        for piece in pieces:
            client.sendall(piece)
        client.shutdown(socket.SHUT_WR)
        return read_to_end(client)


def connections(server: LiveServer) -> int:
    """Count the server's open descriptors for connections of its port."""
    port = f":{server.port:04X}"
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    fields = [line.split() for line in lines]
    return sum(local.endswith(port) and state == "01" for _, local, _, state, *_ in fields)
