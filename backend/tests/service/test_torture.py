from pathlib import Path

import pytest

from testkit.programs import needs_ceph, needs_nginx
from testkit.torture.run import Options, torture

LEAN = Options(seed=9, kills=8, pauses=(0.3, 2.0), with_cache=False, with_front=False)
"""Kills: of a round, half of which hit workers and renderers. Pauses, in seconds: shorter than
deadlines; `make torture` waits longer."""
GROWN = LEAN._replace(with_cache=True, with_front=True)
S3 = LEAN._replace(seed=27, with_s3=True)


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(LEAN, id="lean"),
        pytest.param(GROWN, id="grown", marks=needs_nginx),
        pytest.param(S3, id="S3", marks=needs_ceph),
    ],
)
def test_promises_are_kept_while_processes_are_killed_and_stopped(
    tmp_path: Path, options: Options
) -> None:
    counts = torture(tmp_path, options)
    assert counts["kills"] == options.kills
    assert counts["kill_a_worker"] + counts["kill_a_renderer"] > 0
    assert any(name.startswith(("stop", "hang")) for name in counts)
    assert options.with_s3 == any(name.startswith(("kill_gateway", "kill_osd")) for name in counts)
    assert counts["upload 201"] > 0
    assert counts["delete 204"] > 0
    assert counts["batch delete 200"] > 0
    assert counts["rename 200"] > 0
    assert counts["reads after a delete"] > 0
    assert counts["reads after a rename"] > 0
    assert counts["images with thumbnails"] > 0
    assert counts["images that are broken"] > 0
