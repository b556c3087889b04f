"""`make fsck`, as an operator types it, beside a running service and without one."""

import json
import os
import subprocess
import time
from pathlib import Path

import httpx

from tests import pictures
from tests.service.conftest import StartService
from tests.service.test_make_run import upload


def fsck(project: Path, *arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"MAKEFLAGS", "MAKELEVEL"}
    }
    return subprocess.run(  # noqa: S603 - our own arguments
        [project / ".venv/bin/python", "-m", "app", "fsck", *arguments],
        cwd=project,
        env=environment | {"PYTHONPATH": "backend"} | settings,
        capture_output=True,
        text=True,
        check=False,
    )


def leave_orphan(project: Path) -> Path:
    orphan = project / "data/images/00" / ("0" * 32 + ".jpg")
    orphan.write_bytes(b"12345")
    os.utime(orphan, (time.time() - 100_000,) * 2)
    return orphan


def test_findings_are_told_repaired_and_then_gone(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    image = upload(service, pictures.jpeg())
    orphan = leave_orphan(project)

    run = fsck(project)
    assert run.returncode == 1, run.stderr
    assert run.stdout.splitlines()[0] == f"file-without-row {orphan.name} (5 bytes)"
    assert run.stdout.splitlines()[-1] == "1 images compared: 1 findings"
    assert orphan.exists(), "a run without --repair changes nothing"

    run = fsck(project, "--json", "--repair")
    assert run.returncode == 1
    report = json.loads(run.stdout)
    assert report["findings"] == [
        {"kind": "file-without-row", "key": orphan.name, "bytes": 5, "repaired": True}
    ]
    assert report["sums"]["file-without-row"] == {"count": 1, "bytes": 5, "repaired": 1}
    assert not orphan.exists()

    run = fsck(project, "--json")
    assert run.returncode == 0
    assert json.loads(run.stdout)["images"] == 1
    assert httpx.get(f"{service.url}/api/v1/images/{image['id']}/file").status_code == 200

    service.stop()
    run = fsck(project)
    assert run.returncode == 0, run.stderr
    assert run.stdout.endswith("1 images compared: no findings\n")
    assert start().wait_until_it_serves().process.poll() is None


def test_what_cannot_be_checked_is_not_called_clean(project: Path) -> None:
    run = fsck(project)
    assert run.returncode == 2
    assert run.stderr.startswith("Not checked: There is no embedded database in /")
    run = fsck(project, DATABASE_URL="postgresql://127.0.0.1:1/nothing")
    assert run.returncode == 2
    assert run.stderr.startswith("Not checked: The database is not available")
    assert fsck(project, "--grace", "soon").returncode == 2
    assert not (project / "data").exists()


def test_a_missing_storage_is_not_taken_for_an_empty_one(
    start: StartService, project: Path
) -> None:
    service = start().wait_until_it_serves()
    assert httpx.get(f"{service.url}/health/ready").status_code == 200
    (project / "data/images").rename(project / "data/aside")
    run = fsck(project, "--repair", "--delete-broken-rows")
    assert run.returncode == 2
    assert run.stderr.startswith("Not checked: The image storage is not available")
