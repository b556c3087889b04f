"""A disk, or the process that writes to it, that does not answer: who waits, how long, what stays.

The deadlines are short here; that they are kept is what is tested, never how quick something is.
"""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from app.domain.errors import StorageUnavailable
from app.observability.reasons import reason
from app.storage.local import backend, calls, file_reader, process, staged_file, threads, writer
from app.storage.local.backend import UPLOADS, LocalStorage
from app.storage.local.blocks import BLOCK
from testkit.descriptors import open_descriptors
from testkit.disks import (
    FrozenDisk,
    NetworkDisk,
    disk_that_freezes,
    network_disk,
    set_deadlines,
)
from testkit.faulty_disk import FaultyDisk
from testkit.live import TIMEOUT, until
from testkit.storages import OpenStorage

KEY = "ab23456789abcdef0123456789abcdef.jpg"
OTHER = f"cd{KEY[2:]}"
BACKEND = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    set_deadlines(monkeypatch, 0.5)


@pytest.fixture
def ample_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a folder that does not hang, and a process that can be killed, take their time."""
    for module, name in (
        (calls, "DISK_SECONDS"),
        (backend, "PROBE_SECONDS"),
        (staged_file, "DISCARD_SECONDS"),
        (process, "KILL_SECONDS"),
    ):
        monkeypatch.setattr(module, name, TIMEOUT)


@pytest.fixture
async def storage(open_storage: OpenStorage, tmp_path: Path, ample_folder: None) -> LocalStorage:
    storage = open_storage(tmp_path / "images")
    await prepare(storage)
    return storage


@pytest.fixture
def disk_to_freeze(tmp_path: Path) -> Iterator[FrozenDisk]:
    with disk_that_freezes(tmp_path) as disk:
        yield disk


@pytest.fixture
async def on_freezing_disk(
    disk_to_freeze: FrozenDisk, open_storage: OpenStorage
) -> AsyncIterator[LocalStorage]:
    storage = open_storage(disk_to_freeze.folder)
    await prepare(storage)
    yield storage
    await storage.close()


@pytest.fixture
def network(tmp_path: Path) -> Iterator[NetworkDisk]:
    with network_disk(tmp_path) as disk:
        yield disk


@pytest.fixture
async def on_network(
    network: NetworkDisk, open_storage: OpenStorage
) -> AsyncIterator[LocalStorage]:
    storage = open_storage(network.folder, threads=2)
    await prepare(storage)
    yield storage
    await storage.close()


@contextmanager
def ample_deadlines() -> Iterator[None]:
    """Let nothing be too slow during the block."""
    with pytest.MonkeyPatch.context() as patch:
        set_deadlines(patch, TIMEOUT)
        yield


async def prepare(storage: LocalStorage) -> None:
    """Have the folders made, however slow this machine is."""
    with ample_deadlines():
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    await storage.probe()
                except StorageUnavailable:
                    continue
                return


async def put(storage: LocalStorage, key: str = KEY, data: bytes = b"x") -> None:
    staged = await storage.stage(key, "image/jpeg")
    try:
        await staged.write(data)
        await staged.publish()
    except StorageUnavailable:
        await staged.discard()
        raise


async def put_at_last(storage: LocalStorage, key: str = KEY, data: bytes = b"x") -> None:
    """Upload, which may take more than a short deadline on a slow machine."""
    with ample_deadlines():
        async with asyncio.timeout(TIMEOUT):
            while True:
                try:
                    await put(storage, key, data)
                except StorageUnavailable:
                    continue
                return


def running(storage: LocalStorage) -> process.WriterProcess:
    found = storage._writer._process
    assert found
    return found


def blocks_lent(storage: LocalStorage) -> int:
    memory = storage._writer._memory
    assert memory
    return UPLOADS - len(memory._free)


def all_files(root: Path) -> list[str]:
    return [path.name for path in root.rglob("*") if path.is_file()]


async def test_an_upload_to_a_stopped_writer_fails_and_the_next_gets_a_new_one(
    storage: LocalStorage, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    stopped = running(storage)
    os.kill(stopped.pid, signal.SIGSTOP)
    with pytest.raises(StorageUnavailable) as failure:
        await put(storage, data=b"x" * BLOCK)
    assert "the process that writes uploads has not answered" in reason(failure.value)
    assert str(tmp_path / "images/staging" / KEY) in reason(failure.value)
    assert f"(pid {stopped.pid}) has not answered" in caplog.text
    assert stopped.has_ended
    assert blocks_lent(storage) == 0
    assert all_files(tmp_path) == []
    await put_at_last(storage)
    assert all_files(tmp_path) == [KEY]


async def test_uploads_queued_for_a_stopped_writer_fail_with_it_and_kill_no_other(
    storage: LocalStorage, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage._writer._items, "_max_size", 1)
    monkeypatch.setattr(writer, "DISK_SECONDS", 3.0)
    os.kill(running(storage).pid, signal.SIGSTOP)
    uploads = []
    for number in range(4):  # the last ones have not waited for long when the first times out
        uploads.append(asyncio.create_task(put(storage, f"{number:02x}{KEY[2:]}")))
        await asyncio.sleep(0.1)
    outcomes = await asyncio.gather(*uploads, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StorageUnavailable}
    assert caplog.text.count("is killed") == 1
    assert blocks_lent(storage) == 0


async def test_a_cancelled_upload_waits_for_a_stopped_writer_no_longer_than_the_deadline(
    storage: LocalStorage,
) -> None:
    os.kill(running(storage).pid, signal.SIGSTOP)
    upload = asyncio.create_task(put(storage))
    await asyncio.sleep(0.1)
    upload.cancel()
    with pytest.raises((asyncio.CancelledError, StorageUnavailable)):
        async with asyncio.timeout(TIMEOUT):
            await upload
    assert blocks_lent(storage) <= 1  # this test, unlike the service, does not discard then
    await put_at_last(storage, OTHER)


async def test_a_writer_that_is_at_work_when_the_service_is_cancelled_is_killed_and_collected(
    storage: LocalStorage,
) -> None:
    stopped = running(storage)
    os.kill(stopped.pid, signal.SIGSTOP)
    upload = asyncio.create_task(put(storage))
    await until(lambda: storage._writer._unanswered)
    assert storage._writer._items._worker
    storage._writer._items._worker.cancel()
    with pytest.raises(asyncio.CancelledError):
        await upload
    assert not psutil.pid_exists(stopped.pid), "not even as a zombie"


async def test_probe_finds_a_stopped_writer_and_its_replacement(storage: LocalStorage) -> None:
    os.kill(running(storage).pid, signal.SIGSTOP)
    with pytest.raises(StorageUnavailable) as failure:
        await storage.probe()
    assert "the process that writes uploads has not answered" in reason(failure.value)
    await prepare(storage)


async def test_probe_finds_that_no_writer_can_be_started(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await running(storage).end()
    missing = "/nowhere/python"
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", missing)
        for _ in range(3):
            with pytest.raises(StorageUnavailable) as failure:
                await storage.probe()
            assert missing in reason(failure.value)
            assert "No such file or directory (ENOENT)" in reason(failure.value)
    await prepare(storage)


async def test_probe_takes_a_busy_writer_for_a_working_one(
    disk: FaultyDisk,
    open_storage: OpenStorage,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ample_folder: None,
) -> None:
    for name in ("DISK_SECONDS", "ANSWER_SECONDS"):
        monkeypatch.setattr(writer, name, TIMEOUT)
    storage = open_storage(tmp_path / "images")
    await prepare(storage)
    with disk.hanging("fsync of file") as is_reached:
        upload = asyncio.create_task(put(storage))
        await until(is_reached)
        monkeypatch.setattr(writer, "BUSY_SECONDS", TIMEOUT)
        await storage.probe()
        monkeypatch.setattr(writer, "BUSY_SECONDS", 0)
        with pytest.raises(StorageUnavailable):
            await storage.probe()
    await upload
    monkeypatch.setattr(writer, "BUSY_SECONDS", TIMEOUT)
    await storage.probe()


async def test_probe_fails_while_uploads_do(
    disk: FaultyDisk, open_storage: OpenStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_deadlines(monkeypatch, TIMEOUT)  # none is to be met
    storage = open_storage(tmp_path / "images")
    await prepare(storage)
    with disk.failing("fsync of folder", 5):
        with pytest.raises(StorageUnavailable):
            await put(storage)
        with pytest.raises(StorageUnavailable) as failure:
            await storage.probe()
    assert "fsync of folder: Input/output error (EIO)" in reason(failure.value)
    await prepare(storage)
    assert all_files(tmp_path / "images") == []


async def test_a_stuck_writer_keeps_its_memory_and_blocks_nothing_else(
    on_freezing_disk: LocalStorage, disk_to_freeze: FrozenDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(calls, "DISK_SECONDS", TIMEOUT)  # what is cached can be read
    monkeypatch.setattr(writer, "DISK_SECONDS", 3.0)  # so that it is reached
    storage = on_freezing_disk
    await put_at_last(storage, OTHER)
    stuck = running(storage)
    with disk_to_freeze.frozen():
        with pytest.raises(StorageUnavailable):
            await put(storage)
        assert not stuck.has_ended
        assert psutil.Process(stuck.pid).status() == psutil.STATUS_DISK_SLEEP
        assert blocks_lent(storage) == 1
        block = storage._writer.take_block()
        assert block.begin == BLOCK, "the memory that the stuck process may read is another's"
        storage._writer.release(block)
        reader = await storage.open(OTHER)
        assert await reader.read() == b"x"
        with pytest.raises(StorageUnavailable):
            await storage.probe()
    await until(lambda: stuck.has_ended)
    async with asyncio.timeout(TIMEOUT):
        while blocks_lent(storage):  # is freed when another is taken, and this disk is slow
            await put_at_last(storage)
    await prepare(storage)


async def test_a_hanging_disk_gets_a_bounded_number_of_processes(
    on_freezing_disk: LocalStorage, disk_to_freeze: FrozenDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer, "MOST_STUCK", 2)
    storage = on_freezing_disk
    with disk_to_freeze.frozen():
        async with asyncio.timeout(TIMEOUT):
            while len(storage._writer._stuck) < 2:
                with pytest.raises(StorageUnavailable):
                    await put(storage)
        with pytest.raises(StorageUnavailable) as failure:
            await put(storage)
        assert "keeps 2 killed writing processes from ending" in reason(failure.value)
        assert len(storage._writer._stuck) == 2
    await put_at_last(storage)


@pytest.mark.parametrize("name", ["open", "stat", "delete", "list", "probe"])
async def test_every_call_on_a_hanging_folder_times_out(
    on_network: LocalStorage, network: NetworkDisk, name: str
) -> None:
    storage = on_network
    await put_at_last(storage)

    async def call() -> None:
        if name == "list":
            [info async for info in storage.list()]
        elif name == "probe":
            await storage.probe()
        else:
            await getattr(storage, name)(KEY)

    before = open_descriptors()
    with network.hanging():
        await asyncio.sleep(1.1)  # the kernel caches attributes for a second
        outcomes = await asyncio.gather(*(call() for _ in range(5)), return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StorageUnavailable] * 5
        assert all("no answer" in reason(each) for each in outcomes if isinstance(each, Exception))
    await until(lambda: open_descriptors() <= before and not storage._threads._stuck)
    await put_at_last(storage, OTHER)
    with ample_deadlines():
        await (await storage.open(OTHER)).close()


async def test_closing_a_file_on_a_hanging_folder_does_not_block_the_event_loop(
    on_network: LocalStorage, network: NetworkDisk
) -> None:
    """Closing asks the server where there is one."""
    storage = on_network
    await put_at_last(storage, data=b"x" * 3 * file_reader.READ_BLOCK)
    before = open_descriptors()
    with ample_deadlines():
        reader = await storage.open(KEY)
    release = threading.Timer(TIMEOUT, network.go_on)
    with network.hanging():
        release.start()
        await reader.close()
        assert release.is_alive(), "it waited for the server"
        release.cancel()
    await until(lambda: open_descriptors() <= before)


async def test_a_file_deleted_while_the_folder_hangs_is_removed_afterwards(
    on_network: LocalStorage, network: NetworkDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = on_network
    keys = [f"{number:02x}{KEY[2:]}" for number in range(6)]
    for key in keys:
        await put_at_last(storage, key)
    with network.hanging():
        deletes = [storage.delete(key) for key in keys]
        outcomes = await asyncio.gather(*deletes, return_exceptions=True)
        assert StorageUnavailable in {type(outcome) for outcome in outcomes}
    await until(lambda: all_files(network.folder) == [])


async def test_stuck_threads_are_replaced_and_bounded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "MOST_STUCK", 3)
    pool = threads.Threads(1, "pool")
    may_return = threading.Event()
    try:
        for _ in range(3):
            with pytest.raises(StorageUnavailable):
                await pool.run(calls.Call("read", "/slow", may_return.wait))
            if len(pool._stuck) < 3:
                assert await pool.run(calls.Call("read", "/quick", lambda: 1, seconds=TIMEOUT))
        with pytest.raises(StorageUnavailable) as failure:
            await pool.run(calls.Call("read", "/quick", lambda: 1))
        assert "/quick" in reason(failure.value)
    finally:
        may_return.set()
    await until(lambda: not pool._stuck)
    assert await pool.run(calls.Call("read", "/quick", lambda: 1, seconds=TIMEOUT)) == 1


async def test_a_late_result_is_undone() -> None:
    pool = threads.Threads(1, "pool")
    may_return, undone = threading.Event(), list[str]()

    def late() -> str:
        may_return.wait()
        return "opened"

    try:
        with pytest.raises(StorageUnavailable):
            await pool.run(calls.Call("open", "/slow", late, undo=undone.append))
    finally:
        may_return.set()
    await until(lambda: undone == ["opened"])


async def test_a_call_that_timed_out_in_the_queue_is_left_out_unless_it_must_run() -> None:
    pool = threads.Threads(1, "pool")
    may_return, made = threading.Event(), list[str]()
    slow = asyncio.create_task(
        pool.run(calls.Call("read", "/slow", may_return.wait, seconds=TIMEOUT))
    )
    await asyncio.sleep(0)
    try:
        for name, must_run in (("left out", False), ("must run", True)):

            def note(name: str = name) -> None:
                made.append(name)

            with pytest.raises(StorageUnavailable):
                await pool.run(calls.Call("read", "/x", note, must_run=must_run))
        await asyncio.sleep(0.1)
        assert made == []
    finally:
        may_return.set()
    await slow
    await until(lambda: made == ["must run"])


async def test_a_process_ends_although_its_disk_hangs(
    on_network: LocalStorage, network: NetworkDisk
) -> None:
    """As a service at its end, whose threads the interpreter would wait for."""
    program = (
        "import asyncio, sys\n"
        "from pathlib import Path\n"
        "from app.storage.local import calls\n"
        "from app.storage.local.backend import LocalStorage\n"
        "calls.DISK_SECONDS = 0.5\n"
        "async def main():\n"
        "    storage = LocalStorage(Path(sys.argv[1]))\n"
        "    try:\n"
        "        await storage.stat(sys.argv[2])\n"
        "    except Exception as error:\n"
        "        print(type(error).__name__)\n"
        "    await storage.close()\n"
        "asyncio.run(main())\n"
    )
    with network.hanging():
        await asyncio.sleep(1.1)  # the kernel caches attributes for a second
        ended = subprocess.run(  # noqa: ASYNC221, S603 - our own arguments
            [sys.executable, "-c", program, str(network.folder), KEY],
            cwd=BACKEND,
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
    assert (ended.returncode, ended.stdout) == (0, "StorageUnavailable\n"), ended.stderr


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        ("FSYNCDIR=EINVAL", "fsync of folder: Invalid argument (EINVAL): {root}; this file system"),
        ("FSYNCDIR=ENOTSUP", "fsync of folder: Operation not supported (ENOTSUP): {root}; this"),
        ("FSYNC=EINVAL", "fsync: Invalid argument (EINVAL): {root}/staging/check-"),
        ("RENAME=EXDEV", "rename: Invalid cross-device link (EXDEV): {root}/staging/check-"),
        ("MKDIR=EROFS", "mkdir: Read-only file system (EROFS): {root}; the file system there is"),
        ("LOOKUP=ESTALE", "(ESTALE): {root}; the file system there has lost its server"),
        ("CREATE=EACCES", "open: Permission denied (EACCES): {root}/staging/check-"),
    ],
)
async def test_prepare_names_call_path_and_reason_of_an_unsuitable_disk(
    open_storage: OpenStorage,
    tmp_path: Path,
    failure: str,
    words: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    set_deadlines(monkeypatch, TIMEOUT)  # none is to be met
    with network_disk(tmp_path, failure) as disk:
        storage = open_storage(disk.folder)
        with pytest.raises(StorageUnavailable) as raised:
            await storage.probe()
        assert words.format(root=disk.folder) in reason(raised.value)
        await storage.close()


async def test_a_network_disk_that_lost_its_server_is_unavailable(
    on_network: LocalStorage, network: NetworkDisk, monkeypatch: pytest.MonkeyPatch
) -> None:
    set_deadlines(monkeypatch, TIMEOUT)  # none is to be met
    network.lose()
    for act in (on_network.stat(KEY), on_network.open(KEY), put(on_network), on_network.probe()):
        with pytest.raises(StorageUnavailable) as failure:
            await act
        assert "(ENOTCONN): " + str(network.folder) in reason(failure.value)
        assert "mount it again" in reason(failure.value)
