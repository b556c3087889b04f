"""Files of equal bytes that become names of one inode, and what else happens at that moment."""

import os
from collections.abc import Callable
from errno import EINVAL, EMLINK, ENOSPC
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from app.domain.errors import ObjectNotFound, StorageFull
from app.storage.abilities import Shares, Sharing
from app.storage.local import sharing
from app.storage.local.backend import LocalStorage
from app.storage.memory import MemoryStorage
from testkit.storages import OpenStorage, put, read_all

if TYPE_CHECKING:
    from app.storage.base import StorageBackend

FIRST, SECOND = "ab23456789abcdef0123456789abcdef.jpg", "cd23456789abcdef0123456789abcdef.jpg"
BYTES = bytes(range(256)) * 3


@pytest.fixture
async def storage(open_storage: OpenStorage, tmp_path: Path) -> LocalStorage:
    storage = open_storage(tmp_path / "images")
    await put(storage, FIRST, BYTES)
    await put(storage, SECOND, BYTES)
    return storage


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "images"


def are_one(root: Path) -> bool:
    return (root / "ab" / FIRST).samefile(root / "cd" / SECOND)


def names(root: Path) -> set[str]:
    return {path.name for path in root.glob("*/*")}


async def test_equal_files_become_two_names_of_one(storage: LocalStorage, root: Path) -> None:
    assert await storage.share(SECOND, FIRST) is Sharing.DONE
    assert are_one(root)
    assert names(root) == {FIRST, SECOND}
    for key in (FIRST, SECOND):
        assert await read_all(await storage.open(key)) == BYTES
    assert await storage.share(SECOND, FIRST) is Sharing.BEFORE


@pytest.mark.parametrize(("deleted", "other"), [(FIRST, SECOND), (SECOND, FIRST)])
async def test_a_delete_of_one_leaves_the_other(
    storage: LocalStorage, root: Path, deleted: str, other: str
) -> None:
    await storage.share(SECOND, FIRST)
    await storage.delete(deleted)
    assert names(root) == {other}
    assert await read_all(await storage.open(other)) == BYTES
    with pytest.raises(ObjectNotFound):
        await storage.open(deleted)


async def test_a_download_goes_on_with_the_bytes_that_it_has_opened(storage: LocalStorage) -> None:
    reader = await storage.open(SECOND)
    await storage.share(SECOND, FIRST)
    await storage.delete(SECOND)
    assert await read_all(reader) == BYTES


@pytest.mark.parametrize("piece", [100, sharing.PIECE], ids=["in parts", "at once"])
@pytest.mark.parametrize("position", [0, 500, len(BYTES) - 1])
async def test_files_of_which_one_is_corrupt_are_left_as_they_are(
    storage: LocalStorage,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    position: int,
    piece: int,
) -> None:
    monkeypatch.setattr(sharing, "PIECE", piece)
    monkeypatch.setattr(sharing, "PIECES_A_CALL", 2)
    corrupt = bytearray(BYTES)
    corrupt[position] ^= 1
    (root / "ab" / FIRST).write_bytes(corrupt)
    assert await storage.share(SECOND, FIRST) is Sharing.DIFFERENT
    assert not are_one(root)
    assert await read_all(await storage.open(SECOND)) == BYTES


@pytest.mark.parametrize("length", [len(BYTES) - 1, len(BYTES) + 1])
async def test_a_file_of_another_length_is_left_as_it_is(
    storage: LocalStorage, root: Path, length: int
) -> None:
    (root / "ab" / FIRST).write_bytes((BYTES + b"x")[:length])
    assert await storage.share(SECOND, FIRST) is Sharing.DIFFERENT
    assert not are_one(root)


@pytest.mark.parametrize("missing", [FIRST, SECOND])
async def test_what_is_not_there_is_not_made(
    storage: LocalStorage, root: Path, missing: str
) -> None:
    await storage.delete(missing)
    with pytest.raises(ObjectNotFound):
        await storage.share(SECOND, FIRST)
    assert names(root) == {FIRST, SECOND} - {missing}


@pytest.mark.parametrize("deleted", [FIRST, SECOND])
async def test_what_is_deleted_at_the_same_moment_stays_deleted(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch, deleted: str
) -> None:
    """Just before the names are exchanged, a moment that cannot be hit from outside."""
    exchange = sharing.exchange

    def delete_and_exchange(name: str, other: str) -> None:
        (root / deleted[:2] / deleted).unlink(missing_ok=True)
        exchange(name, other)

    monkeypatch.setattr(sharing, "exchange", delete_and_exchange)
    if deleted == SECOND:
        with pytest.raises(ObjectNotFound):
            await storage.share(SECOND, FIRST)
    else:
        assert await storage.share(SECOND, FIRST) is Sharing.DONE
    (left,) = {FIRST, SECOND} - {deleted}
    assert names(root) == {left}
    assert await read_all(await storage.open(left)) == BYTES


def failing(number: int) -> Callable[..., None]:
    def fail(*_names: str) -> None:
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    "fault",
    [(os, "link", EMLINK), (sharing, "exchange", EINVAL)],
    ids=["as many names as a file may have", "no exchange of names"],
)
async def test_a_filesystem_that_cannot_do_it_changes_nothing(
    storage: LocalStorage,
    root: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: tuple[object, str, int],
) -> None:
    """Errors of other filesystems than that of the tests."""
    module, function, number = fault
    monkeypatch.setattr(module, function, failing(number))
    assert await storage.share(SECOND, FIRST) is Sharing.IMPOSSIBLE
    assert not are_one(root)
    assert names(root) == {FIRST, SECOND}


async def test_where_names_cannot_be_exchanged_files_are_compared_once(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sharing, "exchange", failing(EINVAL))
    assert await storage.share(SECOND, FIRST) is Sharing.IMPOSSIBLE
    (root / "ab" / FIRST).write_bytes(b"other bytes")
    assert await storage.share(SECOND, FIRST) is Sharing.IMPOSSIBLE


async def test_a_full_disk_changes_nothing(
    storage: LocalStorage, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "link", failing(ENOSPC))
    with pytest.raises(StorageFull):
        await storage.share(SECOND, FIRST)
    assert names(root) == {FIRST, SECOND}


def test_only_a_backend_that_can_do_it_says_so(storage: LocalStorage) -> None:
    others: StorageBackend = MemoryStorage()
    assert isinstance(storage, Shares)
    assert not isinstance(others, Shares)
