"""The program that writes uploads, within this process: what it asks of the system, and when."""

import ctypes
import errno
import fcntl
import mmap
import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from threading import Barrier

import pytest

from app.storage.local import writer_program
from app.storage.local.blocks import SharedMemory
from app.storage.local.process import WriterProcess
from app.storage.local.writer import BATCH_SIZE
from app.storage.local.writer_program import PAGE, Failure, Order, Outcome
from testkit.descriptors import open_descriptors, path_of

DATA = os.urandom(8 * PAGE)
_LIBC = ctypes.CDLL(None, use_errno=True)

GetOutcomes = Callable[..., list[Outcome]]
CarryOut = Callable[..., list[Failure | None]]


@pytest.fixture
def get_outcomes() -> Iterator[GetOutcomes]:
    memory = mmap.mmap(-1, len(DATA))
    memory[:] = DATA
    checksums: writer_program.Checksums = {}
    with ThreadPoolExecutor(2) as pool:
        yield lambda *orders: writer_program.carry_out(orders, memoryview(memory), pool, checksums)


@pytest.fixture
def carry_out(get_outcomes: GetOutcomes) -> CarryOut:
    """Return the failure of each order."""
    return lambda *orders: [outcome.failure for outcome in get_outcomes(*orders)]


def published(folder: Path, number: int, length: int = 10) -> Order:
    (folder / f"{number}").mkdir(exist_ok=True)
    return Order(str(folder / f"staged-{number}"), 0, 0, length, str(folder / f"{number}/file"))


def note_calls(monkeypatch: pytest.MonkeyPatch, folder: Path) -> list[str]:
    calls: list[str] = []
    pwrite, fsync, rename = os.pwrite, os.fsync, os.rename

    def name(descriptor: int) -> str:
        return str(path_of(descriptor).relative_to(folder))

    def noted_pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        calls.append(f"write {name(descriptor)}")
        return pwrite(descriptor, data, offset)

    def noted_fsync(descriptor: int) -> None:
        calls.append(f"fsync {name(descriptor)}")
        fsync(descriptor)

    def noted_rename(path: str, target: str) -> None:
        calls.append(f"rename {Path(path).relative_to(folder)}")
        rename(path, target)

    monkeypatch.setattr(os, "pwrite", noted_pwrite)
    monkeypatch.setattr(os, "fsync", noted_fsync)
    monkeypatch.setattr(os, "rename", noted_rename)
    return calls


def test_a_file_is_written_synced_renamed_and_its_folder_synced(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = note_calls(monkeypatch, tmp_path)
    assert carry_out(published(tmp_path, 1)) == [None]
    assert calls == ["write staged-1", "fsync staged-1", "rename staged-1", "fsync 1"]
    assert (tmp_path / "1/file").read_bytes() == DATA[:10]


def test_a_batch_of_files_takes_each_step_together(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = note_calls(monkeypatch, tmp_path)
    assert carry_out(*(published(tmp_path, number) for number in range(3))) == [None] * 3
    steps = [sorted(calls[begin : begin + 3]) for begin in range(0, 12, 3)]
    assert steps == [
        [f"write staged-{number}" for number in range(3)],
        [f"fsync staged-{number}" for number in range(3)],
        [f"rename staged-{number}" for number in range(3)],
        [f"fsync {number}" for number in range(3)],
    ]


def test_a_failed_file_takes_no_further_step_and_stops_no_other(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [published(tmp_path, number) for number in range(4)]
    (tmp_path / "2").rmdir()  # so that it cannot be renamed
    Path(orders[0].path).touch()  # so that it cannot be made
    fsync = os.fsync

    def failing_fsync(descriptor: int) -> None:
        if os.path.samestat(os.fstat(descriptor), Path(orders[1].path).stat()):
            raise OSError(errno.EIO, "broken")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", failing_fsync)
    before = open_descriptors()
    assert carry_out(*orders) == [
        [errno.EEXIST, "open: File exists", orders[0].path, None, None],
        [errno.EIO, "fsync: broken", orders[1].path, None, None],
        [errno.ENOENT, "rename: No such file or directory", orders[2].path, None, orders[2].target],
        None,
    ]
    assert open_descriptors() == before
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert found == {"staged-0", "staged-1", "staged-2", "3/file"}


def test_pieces_are_written_at_their_offsets(carry_out: CarryOut, tmp_path: Path) -> None:
    path, target = str(tmp_path / "staged"), str(tmp_path / "file")
    assert carry_out(Order(path, 0, PAGE, 2 * PAGE, None)) == [None]
    assert carry_out(Order(path, 2 * PAGE, 0, PAGE, None)) == [None]
    assert carry_out(Order(path, 3 * PAGE, 5, 7, target)) == [None]
    assert (tmp_path / "file").read_bytes() == DATA[PAGE : 3 * PAGE] + DATA[:PAGE] + DATA[5:12]


def test_the_last_order_of_a_file_returns_the_checksum_of_all_pieces(
    get_outcomes: GetOutcomes, tmp_path: Path
) -> None:
    path, target = str(tmp_path / "staged"), str(tmp_path / "file")
    orders = [
        Order(path, 0, PAGE, 2 * PAGE, None),
        Order(path, 2 * PAGE, 0, 100, None),
        Order(path, 2 * PAGE + 100, 5, 7, target),
    ]
    each = [get_outcomes(order, published(tmp_path, n)) for n, order in enumerate(orders)]
    assert each[0][0].digest() is each[1][0].digest() is None
    assert each[2][0].digest() == sha256((tmp_path / "file").read_bytes()).digest()
    assert {outcomes[1].digest() for outcomes in each} == {sha256(DATA[:10]).digest()}


def test_a_file_whose_pieces_another_process_wrote_has_no_checksum(
    get_outcomes: GetOutcomes, tmp_path: Path
) -> None:
    path, target = str(tmp_path / "staged"), str(tmp_path / "file")
    Path(path).write_bytes(b"first")
    assert get_outcomes(Order(path, 5, 0, 7, target)) == [Outcome()]


def test_checksums_of_files_never_completed_are_evicted(
    get_outcomes: GetOutcomes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writer_program, "MOST_CHECKSUMS", 3)
    paths = [str(tmp_path / f"staged-{number}") for number in range(5)]
    for path in paths:
        get_outcomes(Order(path, 0, 0, PAGE, None))
    last = [get_outcomes(Order(path, PAGE, 0, 1, f"{path}.whole")) for path in paths]
    assert [outcome.digest() is None for (outcome,) in last] == [True] * 2 + [False] * 3


def test_pieces_of_a_large_file_stay_out_of_the_page_cache(
    carry_out: CarryOut, tmp_path: Path
) -> None:
    """What arrives must not push out what is asked for; a small file may be asked for soon."""
    path = tmp_path / "staged"
    assert carry_out(Order(str(path), 0, 0, 2 * PAGE, None)) == [None]
    if is_cached(path):
        pytest.skip("this filesystem cannot write past the page cache")
    assert carry_out(published(tmp_path, 1, 2 * PAGE)) == [None]
    assert is_cached(tmp_path / "1/file")
    assert path.read_bytes() == DATA[: 2 * PAGE]


def test_of_the_last_piece_of_a_large_file_only_the_last_page_passes_through_the_page_cache(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, target = tmp_path / "staged", tmp_path / "file"
    assert carry_out(Order(str(path), 0, 0, PAGE, None)) == [None]
    if is_cached(path):
        pytest.skip("this filesystem cannot write past the page cache")
    calls = note_calls(monkeypatch, tmp_path)
    assert carry_out(Order(str(path), PAGE, PAGE, 2 * PAGE + 100, str(target))) == [None]
    assert calls == ["write staged", "write staged", "fsync staged", "rename staged", "fsync ."]
    assert is_cached(target, 3 * PAGE)
    assert not is_cached(target, PAGE)
    assert target.read_bytes() == DATA[: 3 * PAGE + 100]


def is_cached(path: Path, offset: int = 0) -> bool:
    """Return whether the page cache has a page of a file, without having it read.

    A read that does not wait (RWF_NOWAIT) begins one, and on a busy machine now and then finds it
    done.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY) as pages:
        begin = ctypes.c_char.from_buffer(pages)
        found = (ctypes.c_ubyte * -(-len(pages) // PAGE))()
        failed = _LIBC.mincore(ctypes.byref(begin), ctypes.c_size_t(len(pages)), found)
        del begin  # else the mapping could not be closed
    assert not failed, os.strerror(ctypes.get_errno())
    return bool(found[offset // PAGE] & 1)


def test_partial_pages_are_written_through_the_page_cache(
    carry_out: CarryOut, tmp_path: Path
) -> None:
    """Memory at an odd address is what the system refuses of a filesystem that can do it."""
    assert carry_out(Order(str(tmp_path / "staged"), 0, 1, PAGE, None)) == [None]
    assert (tmp_path / "staged").read_bytes() == DATA[1 : PAGE + 1]


@pytest.mark.parametrize("number", sorted(writer_program.UNSUPPORTED))
def test_a_filesystem_that_refuses_direct_writes_is_written_through_the_page_cache(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    pwrite = os.pwrite

    def refusing_pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(number, os.strerror(number))
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", refusing_pwrite)
    assert carry_out(Order(str(tmp_path / "staged"), 0, 0, PAGE, None)) == [None]
    assert (tmp_path / "staged").read_bytes() == DATA[:PAGE]


def test_a_short_write_is_continued(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:1000], offset))
    path = str(tmp_path / "staged")
    assert carry_out(Order(path, 0, 0, 2 * PAGE, None)) == [None]
    assert carry_out(Order(path, 2 * PAGE, 0, 5000, str(tmp_path / "file"))) == [None]
    assert (tmp_path / "file").read_bytes() == DATA[: 2 * PAGE] + DATA[:5000]


@pytest.mark.parametrize("length", [100, PAGE + 100, 2 * PAGE])
def test_a_piece_in_the_page_cache_is_synced_before_its_file_is_closed(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """Else the last fsync, of another descriptor, may not report that it was lost."""
    monkeypatch.setattr(writer_program, "_DIRECT", 0)
    calls = note_calls(monkeypatch, tmp_path)
    assert carry_out(Order(str(tmp_path / "staged"), 0, 0, length, None)) == [None]
    assert calls == ["write staged", "fsync staged"]


def test_the_rest_of_a_short_direct_write_is_written_and_synced(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = note_calls(monkeypatch, tmp_path)
    pwrite = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, offset: pwrite(fd, data[:PAGE], offset))
    assert carry_out(Order(str(tmp_path / "staged"), 0, 0, 3 * PAGE, None)) == [None]
    assert (tmp_path / "staged").read_bytes() == DATA[: 3 * PAGE]
    assert calls == ["write staged"] * 3 + ["fsync staged"]


def test_a_failed_direct_write_is_reported(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite = os.pwrite

    def failing_pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        if fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT:
            raise OSError(errno.EIO, "broken")
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", failing_pwrite)
    path = str(tmp_path / "staged")
    assert carry_out(Order(path, 0, 0, PAGE, None)) == [
        [errno.EIO, "write: broken", path, None, None]
    ]


def test_pieces_of_several_files_wait_for_the_disk_together(
    carry_out: CarryOut, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pwrite, both = os.pwrite, Barrier(2)

    def slow_pwrite(descriptor: int, data: memoryview, offset: int) -> int:
        both.wait(timeout=10)
        return pwrite(descriptor, data, offset)

    monkeypatch.setattr(os, "pwrite", slow_pwrite)
    orders = [Order(str(tmp_path / f"{number}"), 0, 0, PAGE, None) for number in range(2)]
    assert carry_out(*orders) == [None] * 2


async def test_failures_of_a_whole_batch_are_reported_however_long_its_paths() -> None:
    memory = SharedMemory(1)
    process = await WriterProcess.start(memory.descriptor, 2)
    order = Order(f"/{'x' * 4000}", 0, 0, 1, f"/{'y' * 4000}")
    outcomes = await process.ask([order] * BATCH_SIZE)
    assert [outcome.failure and outcome.failure[0] for outcome in outcomes] == [
        errno.ENAMETOOLONG
    ] * BATCH_SIZE
    await process.end()
    memory.close()
