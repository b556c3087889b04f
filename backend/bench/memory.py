"""How much memory large uploads take, against small ones: `make bench-memory`.

Peak RSS of one worker (VmHWM of Linux) while `CLIENTS` uploads arrive at once, in a service of
its own for each size, so that no peak hides another.
"""

import http.client
import os
import re
import secrets
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

BACKEND: Final = Path(__file__).parents[1]
CLIENTS: Final = 32
SMALL: Final = 100 * 1024
LARGE: Final = 20 * 1024 * 1024
"""Bytes of a file."""
ROUNDS: Final = 3


def peak_while_uploading(size: int) -> float:
    """Start a service, upload `CLIENTS` files of `size` bytes at once, and tell its peak in MiB."""
    with TemporaryDirectory(prefix="memory-") as folder:
        log = Path(folder) / "log"
        with log.open("wb") as output:
            service = subprocess.Popen(
                [sys.executable, "-m", "app"],
                cwd=folder,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND), "PORT": "0"},
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        try:
            while not (found := re.search(r"^Docs: .*:(\d+)/docs$", log.read_text(), re.MULTILINE)):
                time.sleep(0.05)
            _upload_all(int(found[1]), size)
            status = Path(f"/proc/{service.pid}/status").read_text()
        finally:
            service.terminate()
            service.wait()
    peak = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert peak
    return int(peak[1]) / 1024


def _upload_all(port: int, size: int) -> None:
    content = b"\xff\xd8\xff\xe0" + secrets.token_bytes(size - 4)
    body = (
        b'--b\r\nContent-Disposition: form-data; name="file"; filename="photo.jpg"\r\n\r\n'
        + content
        + b"\r\n--b--\r\n"
    )

    def upload(_: int) -> int:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=600)
        headers = {"Content-Type": "multipart/form-data; boundary=b"}
        connection.request("POST", "/api/v1/images/upload", body, headers)
        status = connection.getresponse().status
        connection.close()
        return status

    with ThreadPoolExecutor(CLIENTS) as pool:
        assert set(pool.map(upload, range(CLIENTS))) == {http.client.CREATED}


def main() -> None:
    """Measure small and large in turn, and print the ratio of the medians."""
    peaks: dict[int, list[float]] = {SMALL: [], LARGE: []}
    for number in range(1, ROUNDS + 1):
        for size, seen in peaks.items():
            seen.append(peak_while_uploading(size))
            print(
                f"round {number}: {CLIENTS} uploads of {size:>8} bytes: {seen[-1]:6.1f} MiB",
                flush=True,
            )
    small, large = (sorted(seen)[len(seen) // 2] for seen in peaks.values())
    print(f"peak RSS, large against small: {large:.1f} / {small:.1f} MiB = {large / small:.2f}")


if __name__ == "__main__":
    main()
