from pathlib import Path

from tests.service.torture import torture


def test_promises_are_kept_while_processes_are_killed(tmp_path: Path) -> None:
    counts = torture(tmp_path, kills=8, seed=3)
    assert sum(number for name, number in counts.items() if name.startswith("kill_")) == 8
    assert len([name for name in counts if name.startswith("kill_")]) >= 3
    assert counts["upload 201"] > 0
    assert counts["delete 204"] > 0
