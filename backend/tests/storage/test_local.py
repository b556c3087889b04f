"""What only the local backend can get wrong: files, folders, descriptors, errors of the system."""

import asyncio
import errno
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import pytest

from app.domain.errors import ObjectNotFound, StorageFull, StorageUnavailable
from app.observability.reasons import reason
from app.runtime import expiring
from app.runtime.page_cache import SENT_AT_ONCE
from app.storage.local import backend, file_reader, process, threads
from app.storage.local.backend import UPLOADS, LocalStorage
from app.storage.local.blocks import BLOCK, KEPT
from app.storage.local.file_reader import FileReader
from app.storage.local.process import WriterProcess
from testkit.descriptors import open_descriptors, path_of
from testkit.faulty_disk import FaultyDisk
from testkit.live import TIMEOUT, until
from testkit.storages import OpenStorage, read_all

KEY = "ab23456789abcdef0123456789abcdef.jpg"
OTHER_KEY = "cd23456789abcdef0123456789abcdef.jpg"
NOBODY = 65534


@pytest.fixture
async def storage(disk: FaultyDisk, open_storage: OpenStorage, tmp_path: Path) -> LocalStorage:
    storage = open_storage(tmp_path / "images")
    await storage.prepare()
    return storage


@pytest.fixture
def files(tmp_path: Path) -> "Files":
    return Files(tmp_path / "images")


class Files:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.published = root / "ab" / KEY
        self.staging = root / "staging"

    def all(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file()]


@pytest.fixture
async def writer_pid(storage: LocalStorage) -> int:
    """Let the process that writes uploads be there."""
    await put(storage, b"x")
    await storage.delete(KEY)
    return writer_process(storage).pid


@pytest.fixture
def small_file_limit(writer_pid: int) -> None:
    """Let the system refuse to write beyond the first block of any file."""
    _, hard = resource.prlimit(writer_pid, resource.RLIMIT_FSIZE)
    resource.prlimit(writer_pid, resource.RLIMIT_FSIZE, (BLOCK, hard))


@pytest.fixture
def without_privileges(disk: FaultyDisk, tmp_path: Path) -> Iterator[None]:
    """Be a user whom permissions bind, also where the tests run as root."""
    if os.geteuid() != 0:
        yield
        return
    for folder in (tmp_path, *tmp_path.rglob("*")):
        os.chown(folder, NOBODY, NOBODY)
    for folder in tmp_path.parents:
        mode = folder.stat().st_mode
        if mode & 0o011 != 0o011:
            folder.chmod(mode | 0o011)
    with disk.used_by(NOBODY):
        os.seteuid(NOBODY)
        yield
        os.seteuid(0)


def writer_process(storage: LocalStorage) -> WriterProcess:
    running = storage._writer._process
    assert running
    return running


def blocks_taken(storage: LocalStorage) -> int:
    memory = storage._writer._memory
    assert memory
    return UPLOADS - len(memory._free)


async def test_files_are_spread_over_folders_by_their_key(
    storage: LocalStorage, files: Files
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    await staged.publish()
    assert files.all() == [files.published]


async def test_files_and_folders_are_private(storage: LocalStorage, files: Files) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    await staged.publish()
    assert files.published.stat().st_mode & 0o777 == 0o600
    assert {path.stat().st_mode & 0o777 for path in files.root.iterdir()} == {0o700}


async def test_no_file_is_made_before_there_is_a_block_to_write(
    storage: LocalStorage, files: Files
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * (BLOCK - 1))
    assert files.all() == []
    await staged.write(b"x")
    assert files.all() == [files.staging / KEY]
    await staged.discard()


async def test_the_staged_file_lies_on_the_filesystem_of_the_published_one(
    storage: LocalStorage, files: Files
) -> None:
    assert files.staging.stat().st_dev == files.published.parent.stat().st_dev


async def test_a_small_object_leaves_no_file_open_while_it_is_sent(
    storage: LocalStorage,
) -> None:
    await put(storage, b"x" * file_reader.READ_BLOCK)
    before = open_descriptors()
    reader = await storage.open(KEY)
    assert open_descriptors() == before
    assert await reader.read() == b"x" * file_reader.READ_BLOCK
    await reader.close()


@pytest.mark.parametrize("end", ["publish", "discard"])
async def test_a_sealed_object_holds_no_descriptor_and_no_memory(
    storage: LocalStorage, files: Files, writer_pid: int, end: str
) -> None:
    before, of_writer = open_descriptors(), open_descriptors(writer_pid)
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * (BLOCK + 1))
    await staged.seal()
    assert open_descriptors() == before
    assert open_descriptors(writer_pid) == of_writer
    assert blocks_taken(storage) == 0
    assert (files.staging / KEY).stat().st_size == BLOCK + 1
    await getattr(staged, end)()
    assert open_descriptors() == before
    assert files.all() == ([files.published] if end == "publish" else [])


@pytest.mark.parametrize("size", [1, BLOCK, 3 * BLOCK])
async def test_no_descriptor_and_no_memory_stays_in_use(
    storage: LocalStorage, writer_pid: int, size: int
) -> None:
    before, of_writer = open_descriptors(), open_descriptors(writer_pid)
    for end in ("publish", "discard"):
        staged = await storage.stage(KEY, "image/jpeg")
        await staged.write(b"x" * size)
        await getattr(staged, end)()
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * size)
    await staged.publish()
    reader = await storage.open(KEY)
    await reader.close()
    assert open_descriptors() == before
    assert open_descriptors(writer_pid) == of_writer
    assert blocks_taken(storage) == 0


async def test_a_full_disk_is_storage_full_and_the_file_is_removed(
    storage: LocalStorage, files: Files, writer_pid: int, small_file_limit: None
) -> None:
    before = open_descriptors(writer_pid)
    staged = await storage.stage(KEY, "image/jpeg")
    with pytest.raises(StorageFull):
        for _ in range(3):
            await staged.write(b"x" * BLOCK)
    await staged.discard()
    assert files.all() == []
    assert open_descriptors(writer_pid) == before
    assert blocks_taken(storage) == 0


async def test_a_disk_full_at_the_last_block_fails_publish(
    storage: LocalStorage, files: Files, small_file_limit: None
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * BLOCK)
    await staged.write(b"x")
    with pytest.raises(StorageFull):
        await staged.publish()
    await staged.discard()
    assert files.all() == []


async def test_a_missing_folder_is_unavailable_and_not_a_missing_object(
    storage: LocalStorage, files: Files
) -> None:
    shutil.rmtree(files.root)
    with pytest.raises(StorageUnavailable):
        await storage.probe()
    assert not files.root.exists(), "the folder of a lost volume must not be made again"
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    with pytest.raises(StorageUnavailable):
        await staged.publish()
    with pytest.raises(StorageUnavailable):
        [info async for info in storage.list()]
    for act in (storage.open, storage.stat, storage.delete):
        with pytest.raises(StorageUnavailable):
            await act(KEY)


async def test_an_error_names_its_call_once(storage: LocalStorage, files: Files) -> None:
    storage.require_mark(UUID(int=0))
    with pytest.raises(StorageUnavailable) as failure:
        await storage.probe()
    assert reason(failure.value) == (
        f"read: no storage is there; is its volume mounted? (ENOENT): {files.root}/storage-id"
    )


async def test_a_missing_target_folder_fails_publish_and_leaves_nothing(
    storage: LocalStorage, files: Files
) -> None:
    files.published.parent.rmdir()
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    with pytest.raises(StorageUnavailable):
        await staged.publish()
    await staged.discard()
    assert files.all() == []


async def test_a_read_only_folder_is_unavailable(
    storage: LocalStorage, files: Files, without_privileges: None
) -> None:
    files.staging.chmod(0o500)
    with pytest.raises(StorageUnavailable):
        await storage.probe()
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    with pytest.raises(StorageUnavailable):
        await staged.publish()
    await staged.discard()
    files.staging.chmod(0o700)
    await storage.probe()


async def test_a_file_without_read_permission_is_unavailable(
    storage: LocalStorage, files: Files, without_privileges: None
) -> None:
    files.published.write_bytes(b"x")
    files.published.chmod(0)
    with pytest.raises(StorageUnavailable):
        await storage.open(KEY)


async def test_a_folder_that_cannot_be_made_is_unavailable_until_it_can(
    open_storage: OpenStorage, tmp_path: Path
) -> None:
    (tmp_path / "images").write_text("a file in the way")
    storage = open_storage(tmp_path / "images")
    with pytest.raises(StorageUnavailable):
        await storage.probe()
    (tmp_path / "images").unlink()
    await storage.probe()


async def test_a_file_that_shrinks_while_it_is_read_is_an_error(
    storage: LocalStorage, files: Files
) -> None:
    files.published.write_bytes(b"x" * 3 * BLOCK)
    reader = await storage.open(KEY)
    os.truncate(files.published, BLOCK + 5)
    with pytest.raises(StorageUnavailable):
        while await reader.read():
            pass
    await reader.close()


async def test_a_second_service_over_the_same_folder_finds_the_files(
    storage: LocalStorage, open_storage: OpenStorage, files: Files
) -> None:
    files.published.write_bytes(b"x")
    second = open_storage(files.root)
    await second.prepare()
    assert [info.key async for info in second.list()] == [KEY]


async def test_a_file_deleted_while_its_folder_is_listed_is_left_out(
    storage: LocalStorage, files: Files
) -> None:
    files.published.symlink_to("nowhere")  # what a name without a file looks like
    assert [info async for info in storage.list()] == []


async def test_a_cancelled_write_ends_before_the_discard_begins(
    storage: LocalStorage, files: Files
) -> None:
    for _ in range(20):
        staged = await storage.stage(KEY, "image/jpeg")
        await staged.write(b"x" * BLOCK)
        writing = asyncio.create_task(staged.write(b"x" * 8 * BLOCK))
        await asyncio.sleep(0)
        writing.cancel()
        await asyncio.sleep(0)
        writing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await writing
        await staged.discard()
        assert files.all() == []


async def test_a_missing_object_is_named(storage: LocalStorage) -> None:
    with pytest.raises(ObjectNotFound, match=KEY):
        await storage.open(KEY)


async def test_a_short_write_fails_the_upload(
    storage: LocalStorage, small_file_limit: None
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    with pytest.raises(StorageFull):
        await staged.write(b"x" * 3 * BLOCK)
    await staged.discard()


async def test_a_cancelled_write_waits_for_its_end(storage: LocalStorage, writer_pid: int) -> None:
    """Or its memory would be another upload's while it is still written from."""
    staged = await storage.stage(KEY, "image/jpeg")
    with stopped(writer_pid):
        writing = asyncio.create_task(staged.write(b"x" * BLOCK))
        await asyncio.sleep(0)
        writing.cancel()
        done, _ = await asyncio.wait([writing], timeout=0.1)
        assert not done
    with pytest.raises(asyncio.CancelledError):
        await writing
    await staged.discard()


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """Let a process do nothing, as when the disk hangs."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


async def test_discard_never_raises(storage: LocalStorage, files: Files) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * BLOCK)
    shutil.rmtree(files.staging)
    files.staging.write_text("a file in the way")
    await staged.discard()


async def test_the_folders_themselves_survive_a_power_cut(
    open_storage: OpenStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    fsync = os.fsync

    def note(descriptor: int) -> None:
        synced.append(path_of(descriptor))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", note)
    await open_storage(tmp_path / "images").prepare()
    assert synced == [tmp_path / "images", tmp_path]


async def put(storage: LocalStorage, data: bytes, key: str = KEY) -> None:
    staged = await storage.stage(key, "image/jpeg")
    await staged.write(data)
    await staged.publish()


@pytest.fixture
def cached_storage(storage: LocalStorage) -> LocalStorage:
    if not storage._can_read_cached:
        pytest.skip("this filesystem does not report what is in the page cache")
    return storage


@contextmanager
def no_threads(storage: LocalStorage) -> Iterator[None]:
    """Let nothing be done in a thread."""

    async def refuse(_call: object) -> None:
        raise AssertionError("a thread was needed")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(storage._threads, "run", refuse)
        yield


async def is_opened_in_place(storage: LocalStorage, length: int = 1) -> bool:
    try:
        with no_threads(storage):
            await (await storage.open(KEY, 0, length)).close()
    except AssertionError:
        return False
    return True


@pytest.mark.parametrize("length", [0, 1])
async def test_only_a_file_opened_recently_is_opened_in_place(
    cached_storage: LocalStorage, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    storage = cached_storage
    await put(storage, b"x")
    assert not await is_opened_in_place(storage, length)
    await (await storage.open(KEY)).close()
    assert await is_opened_in_place(storage, length)
    later = time.monotonic() + backend.WARM_SECONDS
    monkeypatch.setattr(expiring, "monotonic", lambda: later)
    assert not await is_opened_in_place(storage, length)


@pytest.mark.parametrize(("start", "length"), [(0, 3 * BLOCK), (5, BLOCK), (3 * BLOCK - 1, 1)])
async def test_a_file_opened_in_place_reads_like_one_opened_in_a_thread(
    cached_storage: LocalStorage, start: int, length: int
) -> None:
    storage = cached_storage
    data = os.urandom(3 * BLOCK)
    await put(storage, data)
    opened = await read_all(await storage.open(KEY, start, length))
    with no_threads(storage):
        reader = await storage.open(KEY, start, length)
    assert reader.size == len(data)
    assert await read_all(reader) == opened == data[start : start + length]


@pytest.mark.parametrize("length", [0, 1])
async def test_a_warm_file_that_is_removed_is_not_found(
    storage: LocalStorage, files: Files, length: int
) -> None:
    await put(storage, b"x")
    await (await storage.open(KEY)).close()
    files.published.unlink()
    with pytest.raises(ObjectNotFound):
        await storage.open(KEY, 0, length)


async def test_what_is_not_in_the_page_cache_is_read_in_a_thread(
    cached_storage: LocalStorage, files: Files
) -> None:
    storage = cached_storage
    data = os.urandom(3 * BLOCK)
    await put(storage, data)
    before = open_descriptors()
    await read_all(await storage.open(KEY))
    with no_threads(storage):
        reader = await storage.open(KEY)
        first = await reader.read()
    drop_from_page_cache(files.published)
    if await is_opened_in_place(storage):
        pytest.skip("this filesystem keeps everything in the page cache")
    assert first + await read_all(reader) == data
    assert open_descriptors() == before


@pytest.mark.parametrize(("start", "length"), [(0, 9 * BLOCK), (5, 2 * BLOCK), (BLOCK, 7 * BLOCK)])
async def test_what_is_sent_from_the_page_cache_is_what_would_be_read(
    cached_storage: LocalStorage, start: int, length: int
) -> None:
    storage = cached_storage
    data = os.urandom(9 * BLOCK)
    await put(storage, data)
    await read_all(await storage.open(KEY))
    before = open_descriptors()
    with no_threads(storage):
        reader = await storage.open(KEY, start, length)
        assert isinstance(reader, FileReader)
        sent = bytearray(await reader.read())
        assert len(sent) < BLOCK
        while span := reader.take_cached():
            assert span.length <= SENT_AT_ONCE
            sent += os.pread(span.descriptor, span.length, span.offset)
        assert not await reader.read()
        await reader.close()
    assert sent == data[start : start + length]
    assert open_descriptors() == before


async def test_what_is_not_in_the_page_cache_is_not_sent_from_there(
    cached_storage: LocalStorage, files: Files
) -> None:
    storage = cached_storage
    data = os.urandom(3 * BLOCK)
    await put(storage, data)
    await read_all(await storage.open(KEY))
    with no_threads(storage):
        reader = await storage.open(KEY)
        assert isinstance(reader, FileReader)
        sent = bytes(await reader.read())
    drop_from_page_cache(files.published)
    span = reader.take_cached()
    if span and span.length == len(data) - len(sent):
        pytest.skip("this filesystem keeps everything in the page cache")
    if span:
        sent += os.pread(span.descriptor, span.length, span.offset)
    assert sent + await read_all(reader) == data


async def test_where_the_kernel_may_not_send_files_all_is_read(
    open_storage: OpenStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Replaced to raise, since a filter of system calls can never be taken off a process."""

    def refuse(*_arguments: int) -> int:
        raise PermissionError

    monkeypatch.setattr(os, "sendfile", refuse)
    storage = open_storage(tmp_path / "images")
    await storage.prepare()
    data = os.urandom(3 * BLOCK)
    await put(storage, data)
    for _ in range(2):
        reader = await storage.open(KEY)
        assert isinstance(reader, FileReader)
        first = bytes(await reader.read())
        assert reader.take_cached() is None
        assert first + await read_all(reader) == data


def drop_from_page_cache(file: Path) -> None:
    with file.open("rb") as opened:
        os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


async def test_a_warm_file_that_shrinks_while_it_is_sent_is_an_error(
    cached_storage: LocalStorage, files: Files
) -> None:
    storage = cached_storage
    await put(storage, b"x" * 3 * BLOCK)
    await (await storage.open(KEY)).close()
    with no_threads(storage):
        reader = await storage.open(KEY)
    os.truncate(files.published, BLOCK + 5)
    with pytest.raises(StorageUnavailable):
        await read_all(reader)
    await reader.close()


async def test_an_overloaded_disk_refuses_writes_and_no_discard(
    storage: LocalStorage, files: Files, writer_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(storage._writer._items, "_max_queue_delay", 0.0)
    staged = [await storage.stage(f"{number:02x}{KEY[2:]}", "image/jpeg") for number in range(3)]
    with stopped(writer_pid):
        writing = []
        for each in staged[:2]:
            writing.append(asyncio.create_task(each.write(b"x" * BLOCK)))
            await asyncio.sleep(0.01)
        with pytest.raises(StorageUnavailable):
            await staged[2].write(b"x" * BLOCK)
        await staged[2].discard()
    await asyncio.gather(*writing)
    for each in staged[:2]:
        await each.discard()
    assert files.all() == []
    assert blocks_taken(storage) == 0


async def test_more_uploads_than_blocks_are_refused(
    open_storage: OpenStorage, files: Files
) -> None:
    storage = open_storage(files.root, uploads=1)
    first, second = (
        await storage.stage(KEY, "image/jpeg"),
        await storage.stage(f"00{KEY[2:]}", "image/jpeg"),
    )
    await first.write(b"x")
    with pytest.raises(StorageUnavailable):
        await second.write(b"x")
    await second.discard()
    await first.publish()
    await put(storage, b"x", f"00{KEY[2:]}")
    assert len(files.all()) == 2


async def test_a_killed_writer_fails_its_batch_and_is_replaced(
    storage: LocalStorage, files: Files, writer_pid: int, caplog: pytest.LogCaptureFixture
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x" * BLOCK)
    with stopped(writer_pid):
        publishing = asyncio.create_task(staged.publish())
        await asyncio.sleep(0.01)
        os.kill(writer_pid, signal.SIGKILL)
    with pytest.raises(StorageUnavailable):
        await publishing
    await staged.discard()
    assert files.all() == []
    assert f"ended with status -{signal.SIGKILL.value}" in caplog.text
    await put(storage, b"x")
    assert files.published.read_bytes() == b"x"


async def killed(storage: LocalStorage, writer_pid: int) -> None:
    running = writer_process(storage)
    os.kill(writer_pid, signal.SIGKILL)
    while not running.has_ended:  # noqa: ASYNC110 - nothing signals it
        await asyncio.sleep(0.01)


async def test_a_writer_killed_while_idle_is_replaced_unnoticed(
    storage: LocalStorage, files: Files, writer_pid: int
) -> None:
    await killed(storage, writer_pid)
    await put(storage, b"x")
    assert files.published.read_bytes() == b"x"


async def test_an_upload_continues_with_a_replaced_writer(
    storage: LocalStorage, files: Files, writer_pid: int
) -> None:
    data = os.urandom(2 * BLOCK + 1)
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(data[: BLOCK + 1])
    await killed(storage, writer_pid)
    await staged.write(data[BLOCK + 1 :])
    await staged.publish()
    assert files.published.read_bytes() == data


async def test_a_writer_that_cannot_be_started_fails_publish(
    storage: LocalStorage, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = await storage.stage(KEY, "image/jpeg")
    await staged.write(b"x")
    await writer_process(storage).end()
    before = open_descriptors()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(files.root / "missing"))
        with pytest.raises(StorageUnavailable):
            await staged.publish()
    assert open_descriptors() == before
    await staged.discard()
    await put(storage, b"x")
    assert files.all() == [files.published]


async def test_prepare_fails_where_no_writer_can_be_started(
    open_storage: OpenStorage, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    storage = open_storage(files.root)
    with monkeypatch.context() as patch:
        patch.setattr(sys, "executable", str(files.root / "missing"))
        with pytest.raises(StorageUnavailable):
            await storage.probe()
    await storage.probe()
    assert files.all() == []


async def test_shared_memory_that_cannot_be_allocated_is_storage_full(
    open_storage: OpenStorage, files: Files
) -> None:
    storage = open_storage(files.root)
    before = open_descriptors()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (BLOCK, limits[1]))
    try:
        with pytest.raises(StorageFull):
            await storage.probe()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert open_descriptors() == before
    await put(storage, b"x")


async def test_memory_of_a_burst_of_uploads_is_returned_to_the_system(
    storage: LocalStorage, files: Files
) -> None:
    crowd = [
        await storage.stage(f"{number:02x}{KEY[2:]}", "image/jpeg") for number in range(KEPT + 20)
    ]
    for each in crowd:
        await each.write(b"x" * (BLOCK - 1))
    assert shared_memory(storage) == len(crowd) * BLOCK
    for each in crowd:
        await each.discard()
    assert shared_memory(storage) == KEPT * BLOCK
    await put(storage, b"x" * (BLOCK - 1))
    assert shared_memory(storage) == KEPT * BLOCK
    assert files.published.read_bytes() == b"x" * (BLOCK - 1)


def shared_memory(storage: LocalStorage) -> int:
    memory = storage._writer._memory
    assert memory
    return os.fstat(memory.descriptor).st_blocks * 512


async def test_a_writer_that_does_not_end_is_killed(
    storage: LocalStorage, writer_pid: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "END_SECONDS", 0.1)
    monkeypatch.setattr(process, "KILL_SECONDS", TIMEOUT)
    os.kill(writer_pid, signal.SIGSTOP)
    await storage.close()
    with pytest.raises(ProcessLookupError):
        os.kill(writer_pid, 0)


async def test_uploads_in_progress_at_close_are_whole_or_fail(
    storage: LocalStorage, files: Files, writer_pid: int
) -> None:
    """Orders that wait must not be carried out from other memory than what was filled."""
    keys = [f"{number:02x}{KEY[2:]}" for number in range(3)]
    staged = [await storage.stage(key, "image/jpeg") for key in keys]
    for each in staged:
        await each.write(b"x")
    with stopped(writer_pid):
        publishing = []
        for each in staged:
            publishing.append(asyncio.create_task(each.publish()))
            await asyncio.sleep(0.01)
        closing = asyncio.create_task(storage.close())
        await asyncio.sleep(0.01)
    await closing
    outcomes = await asyncio.gather(*publishing, return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [bytes, *[StorageUnavailable] * 2]
    assert (files.root / "00" / keys[0]).read_bytes() == b"x"
    for each in staged:
        await each.discard()
    assert files.all() == []
    with pytest.raises(StorageUnavailable):
        await put(storage, b"x")


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGINT, signal.SIGTERM])
async def test_a_writer_ignores_the_signals_that_stop_the_service(
    storage: LocalStorage, writer_pid: int, number: signal.Signals
) -> None:
    """A terminal and a supervisor send them to all processes, and uploads are still under way."""
    os.kill(writer_pid, number)
    await put(storage, b"x")
    assert writer_process(storage).pid == writer_pid


async def test_files_published_in_a_batch_fail_one_by_one(
    storage: LocalStorage, files: Files
) -> None:
    keys = [f"{number:02x}{KEY[2:]}" for number in range(6)]
    shutil.rmtree(files.root / "03")
    staged = [await storage.stage(key, "image/jpeg") for key in keys]
    for each in staged:
        await each.write(b"x")
    outcomes = await asyncio.gather(*(each.publish() for each in staged), return_exceptions=True)
    assert [type(outcome) for outcome in outcomes] == [
        StorageUnavailable if number == 3 else bytes for number in range(6)
    ]
    await staged[3].discard()
    assert {file.name for file in files.all()} == {*keys} - {keys[3]}


async def test_a_cancelled_open_leaves_no_file_open(storage: LocalStorage) -> None:
    await put(storage, b"x" * 3 * BLOCK)
    before = open_descriptors()
    for _ in range(5):
        opening = asyncio.create_task(storage.open(KEY))
        await asyncio.sleep(0)
        opening.cancel()
        with pytest.raises(asyncio.CancelledError):
            await opening
    await until(lambda: open_descriptors() == before)  # another thread closes it


async def test_deletes_are_not_refused_under_overload(
    storage: LocalStorage, files: Files, monkeypatch: pytest.MonkeyPatch
) -> None:
    await put(storage, b"x")
    monkeypatch.setattr(threads, "MOST_CALLS", 0)
    with pytest.raises(StorageUnavailable):
        await storage.stat(KEY)
    await storage.delete(KEY)
    assert files.all() == []


async def test_a_linked_file_is_the_same_inode_and_as_young_as_a_new_one(
    storage: LocalStorage, files: "Files"
) -> None:
    """So fsck does not take it for a leftover before a row has it."""
    await put(storage, b"bytes")
    os.utime(files.published, (0, 0))
    began = time.time()
    assert await storage.link(KEY, OTHER_KEY)
    assert files.published.samefile(files.root / OTHER_KEY[:2] / OTHER_KEY)
    assert (await storage.stat(OTHER_KEY)).modified.timestamp() >= began - 1


@pytest.mark.parametrize(
    ("call", "number"),
    [("link", errno.EPERM), ("utime", errno.EPERM), ("utime", errno.EACCES)],
)
async def test_a_file_that_cannot_have_another_name_is_not_linked(
    storage: LocalStorage,
    files: "Files",
    monkeypatch: pytest.MonkeyPatch,
    call: str,
    number: int,
) -> None:
    """As on a file system without hard links, or of another user, as after a restore."""

    def refuse(*_names: str) -> None:
        raise OSError(number, os.strerror(number))

    await put(storage, b"bytes")
    monkeypatch.setattr(os, call, refuse)
    assert not await storage.link(KEY, OTHER_KEY)
    assert files.all() == [files.published]
