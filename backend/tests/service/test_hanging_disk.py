"""A disk that hangs, or refuses what uploads need: what clients get and the operator reads."""

import logging
import os
import signal
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from sqlalchemy.engine import URL

from app.storage.local import writer_program
from testkit import samples
from testkit.asgi import image_of
from testkit.disks import disk_deadlines, disk_that_freezes, network_disk, set_deadlines
from testkit.host import Host, hosting
from testkit.live import TIMEOUT, wait_until
from testkit.problems import assert_problem
from testkit.settings import make_settings

JPEG = samples.jpeg()
READY = "/health/ready"
SHORT = 3.0
"""Seconds of a deadline that is to pass."""
NOBODY = 65534
CHOOSE = "this file system cannot do that: choose another one for DATA_DIR"
READ_ONLY = "the file system there is mounted read-only"

HostOn = Callable[[Path], Host]


@pytest.fixture(autouse=True)
def _ample_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let only what hangs exceed its deadline."""
    set_deadlines(monkeypatch, TIMEOUT)


@pytest.fixture
def host(database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with host_on(tmp_path / "data", database_url) as host:
        yield host


@contextmanager
def host_on(folder: Path, database_url: URL) -> Iterator[Host]:
    with hosting(make_settings(database_url, folder), database_url) as host:
        yield host


def writer_of_this_process() -> psutil.Process:
    [found] = [
        child for child in psutil.Process().children() if writer_program.__file__ in child.cmdline()
    ]
    return found


def lines_about(caplog: pytest.LogCaptureFixture, words: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if words in record.getMessage()]


def test_uploads_to_a_stopped_writer_answer_503_and_the_next_is_stored(
    host: Host, caplog: pytest.LogCaptureFixture
) -> None:
    image = host.upload(JPEG).json()
    stopped = writer_of_this_process()
    stopped.send_signal(signal.SIGSTOP)
    with disk_deadlines(SHORT), ThreadPoolExecutor(5) as pool:
        uploads = [pool.submit(host.upload, JPEG) for _ in range(5)]
        assert host.client.get("/health/live").status_code == 200
        assert host.download(image["id"]) == JPEG
        for upload in uploads:
            assert_problem(upload.result(), 503, "storage-unavailable")
    [killed] = lines_about(caplog, "is killed")
    assert str(stopped.pid) in killed
    refused = lines_about(caplog, "storage-unavailable: ")
    assert len(refused) == 5
    assert all(f"{host.images}/staging/" in line for line in refused)
    assert host.upload(JPEG).status_code == 201
    host.assert_keeps(rows=2, files=2)


def test_readiness_reports_a_stopped_writer_and_the_log_its_cause_once(
    host: Host, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.INFO)
    assert host.client.get(READY).status_code == 200
    writer_of_this_process().send_signal(signal.SIGSTOP)
    with disk_deadlines(SHORT):
        while (answer := host.client.get(READY)).is_success:
            time.sleep(0.1)  # the result of the last probe is returned for a second
    assert_problem(answer, 503, "not-ready")
    assert answer.json()["down"] == ["storage"]
    [line] = lines_about(caplog, "the storage is unavailable")
    assert "the process that writes uploads has not answered" in line
    wait_until(lambda: host.client.get(READY).status_code == 200)
    assert host.client.get(READY).status_code == 200
    assert len(lines_about(caplog, "the storage is unavailable")) == 1
    assert len(lines_about(caplog, "the storage is available again")) == 1


def test_a_hanging_disk_leaves_downloads_and_lists_working_and_recovers(
    database_url: URL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with disk_that_freezes(tmp_path) as disk, host_on(disk.folder, database_url) as host:
        image = image_of(host.upload(JPEG))
        assert host.download(image["id"]) == JPEG
        with disk.frozen(), disk_deadlines(SHORT):
            with ThreadPoolExecutor(3) as pool:
                uploads = [pool.submit(host.upload, JPEG) for _ in range(2)]
                batch = pool.submit(host.batch, ("a.jpg", JPEG), ("b.jpg", JPEG))
                for _ in range(10):
                    assert host.client.get("/health/live").status_code == 200
                    assert host.client.get("/api/v1/images").json()["items"] == [image]
                    assert host.download(image["id"]) == JPEG
                for upload in uploads:
                    assert_problem(upload.result(), 503, "storage-unavailable")
                assert_problem(batch.result(), 503, "storage-unavailable")
            for _ in range(2):
                assert_problem(answer := host.client.get(READY), 503, "not-ready")
                assert answer.json()["down"] == ["storage"]
        wait_until(lambda: host.client.get(READY).status_code == 200)
        assert host.upload(JPEG).status_code == 201
        assert len(lines_about(caplog, "the storage is unavailable")) == 1
        # A killed process that the disk kept waiting may have made its file when that was over.
        for leftover in (host.images / "staging").iterdir():
            leftover.unlink(missing_ok=True)
        host.assert_keeps(rows=2, files=2)


def test_a_hanging_folder_answers_503_and_what_needs_no_disk_goes_on(
    database_url: URL, tmp_path: Path
) -> None:
    with network_disk(tmp_path) as disk, host_on(disk.folder, database_url) as host:
        first, second = (image_of(host.upload(JPEG)) for _ in range(2))
        with disk.hanging(), disk_deadlines(SHORT), ThreadPoolExecutor(20) as pool:
            downloads = [
                pool.submit(host.client.get, f"/api/v1/images/{first['id']}/file")
                for _ in range(12)  # more than there are threads
            ]
            upload, delete = pool.submit(host.upload, JPEG), pool.submit(host.delete, second["id"])
            assert host.client.get("/health/live").status_code == 200
            shown = host.client.get(f"/api/v1/images/{first['id']}").json()
            assert shown == first | {"metadata": None}
            for answer in (upload.result(), *(download.result() for download in downloads)):
                assert_problem(answer, 503, "storage-unavailable")
            assert delete.result().status_code == 204
            assert_problem(host.client.get(READY), 503, "not-ready")
        wait_until(lambda: host.client.get(READY).status_code == 200)
        assert host.download(first["id"]) == JPEG
        wait_until(lambda: len(list(host.images.glob("??/*"))) == 1)
        assert host.upload(JPEG).status_code == 201


def test_a_service_stops_although_its_disk_hangs(
    database_url: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with network_disk(tmp_path) as disk:
        with host_on(disk.folder, database_url) as host:
            image = host.upload(JPEG).json()
            set_deadlines(monkeypatch, SHORT)
            hanging = disk.hanging()
            hanging.__enter__()
            host.client.timeout = 0.5
            for act in (lambda: host.upload(JPEG), lambda: host.download(image["id"])):
                with pytest.raises(Exception, match="timed out"):
                    act()
        hanging.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("FSYNCDIR=EINVAL", f"fsync of folder: Invalid argument (EINVAL): {{folder}}; {CHOOSE}"),
        ("MKDIR=EROFS", f"mkdir: Read-only file system (EROFS): {{folder}}; {READ_ONLY}"),
    ],
)
def test_an_unsuitable_file_system_is_one_line_at_the_start(
    database_url: URL, tmp_path: Path, caplog: pytest.LogCaptureFixture, failure: str, words: str
) -> None:
    with network_disk(tmp_path, failure) as disk, host_on(disk.folder, database_url) as host:
        where = host.images if failure.startswith("FSYNC") else disk.folder
        [line] = lines_about(caplog, "the image storage cannot be used yet")
        assert line.endswith(": " + words.format(folder=where))
        assert_problem(host.upload(JPEG), 503, "storage-unavailable")
        assert_problem(host.client.get(READY), 503, "not-ready")
        [line] = lines_about(caplog, "storage-unavailable: ")
        assert line.endswith(": " + words.format(folder=where))


def test_a_network_disk_that_lost_its_server_is_named_in_the_log(
    database_url: URL, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with network_disk(tmp_path) as disk, host_on(disk.folder, database_url) as host:
        image = host.upload(JPEG).json()
        disk.lose()
        assert_problem(host.upload(JPEG), 503, "storage-unavailable")
        answer = host.client.get(f"/api/v1/images/{image['id']}/file")
        assert_problem(answer, 503, "storage-unavailable")
        for line in lines_about(caplog, "storage-unavailable: "):
            assert f"(ENOTCONN): {host.images}" in line
            assert "mount it again" in line


@contextmanager
def socket_open_to_others(database_url: URL) -> Iterator[None]:
    """Let another user reach the embedded PostgreSQL, whose socket lies with its data."""
    folder = Path(str(database_url.query.get("host", ".")))
    mode = folder.stat().st_mode
    folder.chmod(mode | 0o011)
    try:
        yield
    finally:
        folder.chmod(mode)


@pytest.mark.skipif(os.geteuid() != 0, reason="NOT TESTED: another user; this one is not root")
def test_a_data_folder_without_permission_is_named_with_the_user_at_the_start(
    database_url: URL, caplog: pytest.LogCaptureFixture
) -> None:
    with TemporaryDirectory() as folder:  # pytest's own may not be entered by others
        data = Path(folder) / "data"
        data.mkdir()
        Path(folder).chmod(0o755)
        with socket_open_to_others(database_url):
            os.seteuid(NOBODY)
            try:
                with host_on(data, database_url):
                    pass
            finally:
                os.seteuid(0)
    [line] = lines_about(caplog, "the image storage cannot be used yet")
    assert f"mkdir: Permission denied (EACCES): {data}/images" in line
    assert "runs as nobody (uid 65534)" in line
    assert "set DATA_DIR" in line
