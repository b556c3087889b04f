"""A storage that is full, forbidden, broken or slow: what the client gets, and what is left."""

import asyncio
import errno
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

import pytest
from sqlalchemy.engine import URL
from sqlalchemy.exc import DBAPIError

from app.storage.local.blocks import BLOCK
from testkit import samples
from testkit.asgi import image_of
from testkit.databases import execute, prepare
from testkit.faulty_disk import FaultyDisk
from testkit.host import Host, hosting
from testkit.live import wait_until
from testkit.problems import assert_problem
from testkit.settings import make_settings

JPEG = samples.jpeg()
SMALL_DISK = 1024 * 1024
DATABASE_DISK = 32 * 1024 * 1024
LARGE = samples.sized_jpeg(SMALL_DISK + 2 * BLOCK)
NOBODY = 65534
UPLOADS_AT_ONCE = 40
"""More than Python allots threads for waiting."""


@pytest.fixture
def host(database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with hosting(make_settings(database_url, tmp_path / "data"), database_url) as host:
        yield host


@pytest.fixture
def small_disk() -> Iterator[Path]:
    with mounted_memory(SMALL_DISK) as folder:
        yield folder


@contextmanager
def mounted_memory(size: int) -> Iterator[Path]:
    """Mount a filesystem of so many bytes, which only root may do.

    Not in pytest's own folder: where a run is killed, the mount would be in pytest's way.
    """
    folder = Path(mkdtemp(prefix="small-disk-"))
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)  # noqa: S603 - our own arguments
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(
            f"NOT TESTED: a disk that is really full; no filesystem can be mounted: {error}"
        )
    try:
        yield folder
    finally:
        # Lazily, for a file that a failed test left open must not keep it here.
        subprocess.run(["umount", "--lazy", str(folder)], check=True)  # noqa: S603, S607 - our own
        folder.rmdir()


def fill(disk: Path) -> Path:
    """Leave no room on a disk; return the file that takes it."""
    filler = disk / "filler"
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
    return filler


@pytest.fixture
def host_on_small_disk(database_url: URL, small_disk: Path) -> Iterator[Host]:
    with hosting(make_settings(database_url, small_disk), database_url) as host:
        yield host


def test_a_disk_that_fills_up_in_the_middle_of_a_file_leaves_nothing_of_it(
    host_on_small_disk: Host,
) -> None:
    host = host_on_small_disk
    assert_problem(host.upload(LARGE), 507, "storage-full")
    host.assert_keeps(rows=0, files=0)
    image = host.upload(JPEG).json()
    assert host.download(image["id"]) == JPEG


def test_a_batch_keeps_the_files_stored_before_the_disk_was_full(host_on_small_disk: Host) -> None:
    host = host_on_small_disk
    answer = host.batch(("0.jpg", JPEG), ("1.jpg", LARGE), ("2.jpg", JPEG))
    assert answer.status_code == 207
    assert [(item["filename"], item["status"]) for item in answer.json()["failed"]] == [
        ("1.jpg", 507)
    ]
    host.assert_keeps(rows=2, files=2)
    assert [host.download(image["id"]) for image in answer.json()["uploaded"]] == [JPEG, JPEG]


def test_a_full_disk_rejects_uploads_and_serves_on_until_there_is_room(
    host_on_small_disk: Host, small_disk: Path
) -> None:
    host = host_on_small_disk
    image = host.upload(JPEG).json()
    filler = fill(small_disk)
    assert_problem(host.upload(JPEG), 507, "storage-full")
    assert_problem(host.batch(("a.jpg", JPEG), ("b.jpg", JPEG)), 507, "storage-full")
    host.assert_keeps(rows=1, files=1)
    assert host.download(image["id"]) == JPEG
    assert_problem(host.client.get("/health/ready"), 503, "not-ready")
    assert host.delete(image["id"]).status_code == 204
    host.assert_keeps(rows=0, files=0)
    filler.unlink()
    assert host.upload(JPEG).status_code == 201
    wait_until(lambda: host.client.get("/health/ready").status_code == 200)


@pytest.fixture
def database_on_small_disk(postgres_url: URL, _session_database: URL) -> Iterator[tuple[URL, Path]]:
    """Make a database whose tables, not its log, lie on a disk of their own, as on a quota."""
    name = f"small_{secrets.token_hex(6)}"
    url = postgres_url.set(database=name)
    with mounted_memory(DATABASE_DISK) as disk, asyncio.Runner() as runner:

        def execute_now(*statements: str) -> None:
            for statement in statements:
                runner.run(execute(postgres_url, statement))

        place = disk / "tables"
        place.mkdir(mode=0o777)
        disk.chmod(0o755)
        place.chmod(0o777)
        try:
            shutil.chown(place, *owner_of_server(postgres_url))
            execute_now(f"CREATE TABLESPACE {name} LOCATION '{place}'")
        except (LookupError, OSError, DBAPIError) as error:
            pytest.skip(f"NOT TESTED: a database whose disk is full; no tablespace: {error}")
        try:
            execute_now(f"CREATE DATABASE {name} TABLESPACE {name}")
            runner.run(prepare(url))
            yield url, disk
        finally:
            (disk / "filler").unlink(missing_ok=True)
            execute_now(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"DROP TABLESPACE {name}")


def owner_of_server(url: URL) -> tuple[int, int]:
    """Return the user and the group that the embedded server runs as."""
    folder = Path(str(url.query.get("host", "/nowhere")))
    found = folder.stat()
    return found.st_uid, found.st_gid


def test_a_full_database_answers_507_and_still_serves(
    database_on_small_disk: tuple[URL, Path], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    url, disk = database_on_small_disk
    with hosting(make_settings(url, tmp_path / "data"), url) as host:
        filler = fill(disk)
        stored = 0
        while (answer := host.upload(JPEG)).status_code == 201:
            stored += 1  # as many as there is room for in the pages that the tables have
        assert_problem(answer, 507, "database-full")
        answer = host.batch(("a.jpg", JPEG), ("b.jpg", JPEG))
        assert_problem(answer, 507, "database-full")
        assert [item["status"] for item in answer.json()["failed"]] == [507] * 2
        host.assert_keeps(rows=stored, files=stored)
        assert len(host.client.get("/api/v1/images").json()["items"]) == min(stored, 20)
        assert host.client.get("/health/ready").status_code == 200
        assert "No space left on device" in caplog.text
        filler.unlink()
        image = host.upload(JPEG).json()
        assert host.download(image["id"]) == JPEG
        host.assert_keeps(rows=stored + 1, files=stored + 1)


@pytest.mark.parametrize("step", ["fsync of file", "rename", "fsync of folder"])
@pytest.mark.parametrize(
    ("number", "problem"),
    [
        (errno.ENOSPC, (507, "storage-full")),
        (errno.EDQUOT, (507, "storage-full")),
        (errno.EIO, (503, "storage-unavailable")),
    ],
    ids=["ENOSPC", "EDQUOT", "EIO"],
)
def test_a_disk_that_fails_while_publishing_acknowledges_and_leaves_nothing(
    disk: FaultyDisk, host: Host, step: str, number: int, problem: tuple[int, str]
) -> None:
    status, _ = problem
    with disk.failing(step, number):
        for content in (JPEG, LARGE):
            assert_problem(host.upload(content), *problem)
        answer = host.batch(("a.jpg", JPEG), ("b.jpg", LARGE))
        assert_problem(answer, *problem)
        assert [item["status"] for item in answer.json()["failed"]] == [status] * 2
    host.assert_keeps(rows=0, files=0)
    assert host.upload(JPEG).status_code == 201


@pytest.fixture
def nobodys_host(disk: FaultyDisk, database_url: URL) -> Iterator[Host]:
    """Run the service over a folder of a user whom permissions bind, unlike root."""
    with (
        TemporaryDirectory() as folder,
        hosting(make_settings(database_url, Path(folder) / "data"), database_url) as host,
    ):
        yield host


@contextmanager
def privileges_dropped(folder: Path, disk: FaultyDisk) -> Iterator[None]:
    """Be a user whom permissions bind, in all threads and in the process that writes uploads.

    The folder becomes that user's own.
    """
    if os.geteuid() != 0:
        yield
        return
    for path in (folder, *folder.rglob("*")):
        os.chown(path, NOBODY, NOBODY)
    with disk.used_by(NOBODY):
        os.seteuid(NOBODY)
        try:
            yield
        finally:
            os.seteuid(0)


def test_a_read_only_storage_answers_503_and_still_serves(
    nobodys_host: Host, disk: FaultyDisk
) -> None:
    host = nobodys_host
    image = host.upload(JPEG).json()
    staging = host.images / "staging"
    with privileges_dropped(host.images.parents[1], disk):
        staging.chmod(0o500)
        for content in (JPEG, LARGE):
            assert_problem(host.upload(content), 503, "storage-unavailable")
        assert_problem(host.batch(("a.jpg", JPEG), ("b.jpg", LARGE)), 503, "storage-unavailable")
        assert host.download(image["id"]) == JPEG
        staging.chmod(0o700)
        assert host.upload(JPEG).status_code == 201
    host.assert_keeps(rows=2, files=2)


def test_a_folder_without_permission_fails_the_upload_and_leaves_nothing(
    nobodys_host: Host, disk: FaultyDisk
) -> None:
    host = nobodys_host
    with privileges_dropped(host.images.parents[1], disk):
        for folder in host.images.glob("??"):
            folder.chmod(0o500)
        for content in (JPEG, LARGE):
            assert_problem(host.upload(content), 503, "storage-unavailable")
        assert_problem(host.batch(("a.jpg", JPEG), ("b.jpg", LARGE)), 503, "storage-unavailable")
    host.assert_keeps(rows=0, files=0)


def test_a_file_that_cannot_be_removed_is_left_by_a_delete(
    nobodys_host: Host, disk: FaultyDisk
) -> None:
    host = nobodys_host
    image = host.upload(JPEG).json()
    folder = host.images / image["storage_key"][:2]
    with privileges_dropped(host.images.parents[1], disk):
        folder.chmod(0o500)
        assert host.delete(image["id"]).status_code == 204
        assert_problem(host.delete(image["id"]), 404, "image-not-found")
    host.assert_keeps(rows=0, files=1)


def test_uploads_on_a_slow_disk_delay_nothing_else(disk: FaultyDisk, host: Host) -> None:
    first = image_of(host.upload(JPEG))
    with ThreadPoolExecutor(UPLOADS_AT_ONCE) as pool:
        with disk.hanging("fsync of file") as is_reached:
            uploads = [pool.submit(host.upload, JPEG) for _ in range(UPLOADS_AT_ONCE)]
            wait_until(is_reached)
            for _ in range(3):
                assert host.client.get("/health/live").status_code == 200
                assert host.download(first["id"]) == JPEG
            assert host.client.get("/api/v1/images").json()["items"] == [first]
            assert host.client.get("/health/ready").status_code == 200
            assert host.delete(first["id"]).status_code == 204
            assert not any(upload.done() for upload in uploads)
        assert [upload.result().status_code for upload in uploads] == [201] * UPLOADS_AT_ONCE
    host.assert_keeps(rows=UPLOADS_AT_ONCE, files=UPLOADS_AT_ONCE)
