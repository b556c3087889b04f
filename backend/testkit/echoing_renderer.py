"""A process that answers whatever the file holds that it is passed: a child that cannot be trusted.

It takes the arguments of `app.imaging.rendering.program`.
"""

import os
import socket
import sys
from typing import Final

_MOST: Final = 1 << 30  # bytes

with socket.socket(fileno=sys.stdin.fileno()) as parent:
    parent.sendall(b"\n")
    while True:
        request, descriptors, *_ = socket.recv_fds(parent, 1, 1)
        if not request:
            break
        parent.sendall(os.pread(descriptors[0], _MOST, 0))
        os.close(descriptors[0])
