from pathlib import Path

from testkit.torture import torture

DISTURBANCES = 10
PAUSES = (0.3, 2.0)
"""Seconds, shorter than deadlines; `make torture` waits longer."""


def test_promises_are_kept_while_processes_are_killed_and_stopped(tmp_path: Path) -> None:
    counts = torture(tmp_path, kills=DISTURBANCES, seed=3, pauses=PAUSES)
    done = {
        name: number for name, number in counts.items() if name.startswith(("kill", "stop", "hang"))
    }
    assert sum(done.values()) == DISTURBANCES
    assert any(name.startswith("kill") for name in done)
    assert any(name.startswith(("stop", "hang")) for name in done)
    assert counts["upload 201"] > 0
    assert counts["delete 204"] > 0
