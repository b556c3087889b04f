"""The line that says to an operator why something failed."""

import errno
import os

import pytest

from app.domain.errors import DatabaseUnavailable, StorageUnavailable
from app.observability.reasons import reason


def unavailable(cause: BaseException) -> StorageUnavailable:
    error = StorageUnavailable()
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    ("cause", "line"),
    [
        (
            OSError(errno.ENOSPC, "write: No space left", "/d/x"),
            "write: No space left (ENOSPC): /d/x",
        ),
        (
            OSError(errno.EXDEV, "rename: Cross-device", "/a", None, "/b"),
            "rename: Cross-device (EXDEV): /a -> /b; both must lie on one file system",
        ),
        (
            ConnectionRefusedError(errno.ECONNREFUSED, "Connect failed"),
            "Connect failed (ECONNREFUSED)",
        ),
        (PermissionError("in words only"), "PermissionError: in words only"),
        (TimeoutError(), "no answer in time"),
        (ValueError("two\nlines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
    ],
)
def test_a_cause_is_one_line_with_words_and_path(cause: BaseException, line: str) -> None:
    assert reason(unavailable(cause)) == line


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP])
def test_an_unsupported_operation_advises_another_file_system(number: int) -> None:
    line = reason(unavailable(OSError(number, "fsync: no", "/data")))
    assert line.endswith(
        ": /data; this file system cannot do that: choose another one for DATA_DIR"
    )


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM])
def test_a_permission_error_names_the_user(number: int) -> None:
    line = reason(unavailable(OSError(number, "open: no", "/data")))
    assert f"uid {os.geteuid()}" in line


def test_an_error_without_a_cause_is_its_own_reason() -> None:
    assert reason(DatabaseUnavailable()).startswith("DatabaseUnavailable: The database")
