"""Memory that a server process frees and needs again at once."""

import subprocess
import sys
from pathlib import Path

import pytest

BACKEND = Path(__file__).parents[2]
PIECES = 32
PIECE_BYTES = 230_000
"""What one read of a fast upload brings."""
TURNS = 20
PAGE_BYTES = 4096

RECEIVE = f"""
import resource
from app.composition.http_app import create_process_app
from app.config.settings import Settings

def receive():
    return [bytearray({PIECE_BYTES}) for _ in range({PIECES})]

create_process_app(Settings())
receive()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range({TURNS}):
    receive()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="what glibc keeps")
def test_memory_of_what_uploads_send_is_used_again_without_page_faults(tmp_path: Path) -> None:
    faults = int(
        subprocess.run(  # noqa: S603 - the program above
            [sys.executable, "-c", RECEIVE],
            cwd=tmp_path,
            env={"PYTHONPATH": str(BACKEND)},
            check=True,
            capture_output=True,
            text=True,
        ).stdout
    )
    assert faults < TURNS * PIECES * PIECE_BYTES / PAGE_BYTES / 10
