"""`make fsck`, as an operator types it, beside a running service and without one."""

import json
import os
import subprocess
import time
from pathlib import Path

import httpx

from testkit import samples
from testkit.live import TIMEOUT
from testkit.service import START_SECONDS, StartService, fsck, upload


def leave_orphan(project: Path, name: str = "0" * 32 + ".jpg") -> Path:
    orphan = project / "data/images/00" / name
    orphan.write_bytes(b"12345")
    os.utime(orphan, (time.time() - 100_000,) * 2)
    return orphan


def test_findings_are_reported_repaired_and_then_gone(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    image = upload(service, samples.jpeg())
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


def test_stale_thumbnails_are_reported_and_removed_and_no_alarm(
    start: StartService, project: Path
) -> None:
    service = start().wait_until_it_serves()
    upload(service, samples.jpeg())
    stale = [leave_orphan(project, "0" * 32 + f"-{size}-653a.webp") for size in range(100, 120)]

    run = fsck(project)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines()[0] == f"stale-thumbnail {stale[0].name} (5 bytes)"
    assert "stale-thumbnail: 20 (100 bytes), 0 repaired" in run.stdout
    assert run.stdout.splitlines()[-1] == "1 images compared: no findings"
    assert run.stderr.endswith(' stale thumbnails and wrong sums: make fsck ARGS="--repair"\n')
    assert all(path.exists() for path in stale)

    run = fsck(project, "--json", "--repair")
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert len(report["findings"]) == 20
    assert report["sums"]["stale-thumbnail"] == {"count": 20, "bytes": 100, "repaired": 20}
    assert not any(path.exists() for path in stale)


def test_names_that_the_locale_cannot_write_are_shown_in_escapes(
    start: StartService, project: Path
) -> None:
    start().wait_until_it_serves()
    (project / "data/images/00/图.jpg").touch()
    run = fsck(project, PYTHONIOENCODING="ascii")
    assert run.returncode == 0, run.stderr
    assert "left alone, not of the service: 1, such as " in run.stdout
    assert "\\u56fe.jpg" in run.stdout


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
    assert run.stderr.startswith("Not checked: The image storage ")
    assert "was expected, and there is none. Mount its volume" in run.stderr


def images_of(project: Path) -> list[Path]:
    return sorted((project / "data/images").glob("??/*"))


def test_a_repair_that_would_remove_many_needs_their_number(
    start: StartService, project: Path
) -> None:
    service = start().wait_until_it_serves()
    for _ in range(13):
        upload(service, samples.jpeg())
    lost = images_of(project)[:12]
    for path in lost:
        path.unlink()

    run = fsck(project)
    assert run.returncode == 1
    assert run.stderr.splitlines()[-1] == (
        "To remove rows whose files cannot be found again, too: "
        'make fsck ARGS="--repair --delete-broken-rows --expect 12"'
    )
    broken = ("--repair", "--delete-broken-rows")
    for arguments in (broken, (*broken, "--expect", "11"), (*broken, "--expect", "13")):
        run = fsck(project, *arguments)
        assert run.returncode == 3
        assert run.stderr.splitlines()[-1].startswith("Not repaired: 12 rows or files")
        assert run.stderr.splitlines()[-1].endswith('--delete-broken-rows --expect 12"')
        assert "row-without-file: 12 " in run.stdout
        assert "0 repaired" in run.stdout
    assert len(httpx.get(f"{service.url}/api/v1/images").json()["items"]) == 13
    run = fsck(project, *broken, "--expect", "12")
    assert run.returncode == 1, run.stderr
    assert "row-without-file: 12 " in run.stdout
    assert fsck(project).returncode == 0

    orphans = [project / "data/images/00" / f"{number:032x}.jpg" for number in range(11)]
    for path in orphans:
        path.write_bytes(b"12345")
        os.utime(path, (time.time() - 100_000,) * 2)
    assert fsck(project, "--repair").returncode == 3
    assert all(path.exists() for path in orphans)
    assert fsck(project, "--repair", "--expect", "11").returncode == 1
    assert not any(path.exists() for path in orphans)


def test_four_bytes_that_were_overwritten_are_found_and_reported_as_corrupt(
    start: StartService, project: Path
) -> None:
    service = start().wait_until_it_serves()
    images = [upload(service, samples.jpeg()) for _ in range(4)]
    corrupt = images_of(project)[1]
    size, total = corrupt.stat().st_size, sum(path.stat().st_size for path in images_of(project))
    (project / "data/images/00/@eaDir").mkdir()
    with corrupt.open("r+b") as opened:
        opened.seek(300)
        opened.write(b"\0\0\0\0")

    run = fsck(project)
    assert run.returncode == 0, run.stdout
    run = fsck(project, "--checksums")
    assert run.returncode == 1, run.stderr
    lines = run.stdout.splitlines()
    assert lines[0] == f"corrupt {corrupt.name} ({size} bytes)"
    assert "left alone, not of the service: 1, such as data/images/00/@eaDir" in run.stdout
    assert lines[-2].startswith(f"4 files read: {total} bytes, ")
    assert lines[-1] == "4 images compared: 1 findings"

    assert fsck(project, "--checksums", "--repair").returncode == 1
    assert corrupt.exists()
    run = fsck(project, "--checksums", "--after", corrupt.name)
    assert run.returncode == 0
    report = json.loads(
        fsck(project, "--checksums", "--repair", "--delete-broken-rows", "--json").stdout
    )
    assert report["sums"]["corrupt"] == {"count": 1, "bytes": size, "repaired": 1}
    assert report["read"] == {"files": 4, "bytes": total}
    assert not corrupt.exists()
    assert (project / "data/images/00/@eaDir").is_dir()
    left = httpx.get(f"{service.url}/api/v1/images").json()["items"]
    assert {image["id"] for image in left} < {image["id"] for image in images}


def test_a_check_that_a_person_stops_says_how_to_go_on(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    for _ in range(3):
        upload(service, samples.jpeg())
    process = subprocess.Popen(  # noqa: S603 - our own arguments
        [project / ".venv/bin/python", "-c", STOPPED, "fsck", "--checksums"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": "backend"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    _, said = process.communicate(timeout=TIMEOUT)
    assert process.returncode == 130
    second = images_of(project)[1].name
    to_go_on, stopped = said.splitlines()[-2:]
    assert to_go_on == f"To go on: --after {second}"
    assert stopped.startswith("Stopped by SIGINT")


STOPPED = """
import os, signal
from app import __main__
from app.commands import fsck_reports

def compared(report, row, compared=fsck_reports.Report.compared, **options):
    compared(report, row, **options)
    if report.images == 2:
        os.kill(os.getpid(), signal.SIGINT)

fsck_reports.Report.compared = compared
raise SystemExit(__main__.main())
"""
"""Runs the command, and presses Ctrl-C after two images."""


def test_a_folder_is_adopted_on_request(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    image = upload(service, samples.jpeg())
    service.stop()
    (project / "data/images/storage-id").unlink()
    service = start()
    assert service.process.wait(START_SECONDS) != 0
    [line] = [line for line in service.output.splitlines() if "image storage" in line]
    assert "was expected, and there is none. Mount its volume or set DATA_DIR" in line
    assert "Traceback" not in service.output
    assert fsck(project).returncode == 2
    run = fsck(project, "--adopt-storage")
    assert run.returncode == 0, run.stderr
    service = start().wait_until_it_serves()
    assert httpx.get(f"{service.url}/api/v1/images/{image['id']}/file").status_code == 200


def test_no_new_database_is_made_beside_images(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    upload(service, samples.jpeg())
    service.stop()
    (project / "data/postgres").rename(project / "postgres")
    service = start()
    assert service.process.wait(TIMEOUT) != 0
    assert "it is in use, and the database is not there" in service.output
    assert not (project / "data/postgres").exists()
    (project / "postgres").rename(project / "data/postgres")
    service = start().wait_until_it_serves()
    assert len(httpx.get(f"{service.url}/api/v1/images").json()["items"]) == 1
