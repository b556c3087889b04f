"""The program of a process that renders images (ADR 38); `child.py` starts it.

    python -m app.imaging.rendering.program MEMORY_MB SECONDS MAX_PIXELS SIZE...

Each message on standard input, a socket, is a byte, `RENDER` or `EXTRACT`, that comes with the
descriptor of an image; it is answered as `protocol.py` says. Everything in the image is untrusted.
So the process has no path, no name and no secret, its memory and its time are limited, and it can
write no file. It ends where its input ends, and with its parent, whatever ended that.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from contextlib import suppress
from typing import Final

from app.imaging.rendering import metadata
from app.imaging.rendering.protocol import EXTRACT, RenderLimits
from app.imaging.rendering.thumbnails import prepare, try_to_render

_DESCRIPTORS: Final = 32
_END_WITH_PARENT: Final = 1
"""PR_SET_PDEATHSIG of prctl(2)."""


def main(limits: RenderLimits, sizes: list[int]) -> None:
    """Render one image after the other, or extract its metadata, until there are no more."""
    with socket.socket(fileno=sys.stdin.fileno()) as parent, suppress(ConnectionError):
        prepare()
        _limit(limits.memory_mb)
        parent.sendall(b"\n")
        while True:
            request, descriptors, _, _ = socket.recv_fds(parent, 1, 1)
            if not descriptors:
                break
            _limit_processor_time(limits.seconds)
            answer: object
            thumbnails: list[bytes] = []
            if request == EXTRACT:
                answer = metadata.try_to_extract(descriptors[0])
            else:
                answer, thumbnails = try_to_render(descriptors[0], sizes, limits.max_pixels)
            os.close(descriptors[0])
            parent.sendall(json.dumps(answer).encode() + b"\n" + b"".join(thumbnails))


def _limit(memory_mb: int) -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_NOFILE, (_DESCRIPTORS, _DESCRIPTORS))
    if sys.platform == "linux":
        resource.setrlimit(resource.RLIMIT_AS, (memory_mb << 20, memory_mb << 20))
        ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
        os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # whoever answers clients first


def _limit_processor_time(seconds: int) -> None:
    """Let the system end the process once it has worked for so many seconds more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, most = resource.getrlimit(resource.RLIMIT_CPU)
    end = int(used.ru_utime + used.ru_stime) + 1 + seconds
    resource.setrlimit(resource.RLIMIT_CPU, (end, most))


if __name__ == "__main__":
    main(RenderLimits(*map(int, sys.argv[1:4])), list(map(int, sys.argv[4:])))
