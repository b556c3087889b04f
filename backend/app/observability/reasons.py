"""Why something failed, in one line for the operator: call, path, words, and what to do."""

import errno
import os
import pwd
from contextlib import suppress
from typing import Final

_UNSUPPORTED: Final = "this file system cannot do that: choose another one for DATA_DIR"
_LOST: Final = "the file system there has lost its server: mount it again"
_ADVICE: Final = {
    errno.EROFS: "the file system there is mounted read-only",
    errno.EXDEV: "both must lie on one file system",
    errno.EINVAL: _UNSUPPORTED,
    errno.ENOSYS: _UNSUPPORTED,
    errno.ENOTSUP: _UNSUPPORTED,
    errno.EOPNOTSUPP: _UNSUPPORTED,
    errno.ESTALE: _LOST,
    errno.ENOTCONN: _LOST,
    errno.EIO: "the system's log names the disk's errors",
    errno.ETIMEDOUT: "the disk hangs, or the network to it",
}
"""What to do about an error that names a path."""


def reason(error: BaseException) -> str:
    """Return in one line why an error was raised: its own reason, or its cause, or itself."""
    if own := getattr(error, "reason", ""):
        return str(own)
    cause = error.__cause__ or error
    # SQLAlchemy's own message is the statement.
    cause = getattr(cause, "orig", None) or cause
    if isinstance(cause, OSError) and cause.strerror:
        return _system_reason(cause)
    if isinstance(cause, TimeoutError):
        return "no answer in time"
    words = " ".join(str(cause).split())
    return f"{type(cause).__name__}: {words}" if words else type(cause).__name__


def _system_reason(error: OSError) -> str:
    words = f"{error.strerror} ({errno.errorcode.get(error.errno or 0, error.errno)})"
    if error.filename is None:
        return words
    paths = [error.filename] if error.filename2 is None else [error.filename, error.filename2]
    words = f"{words}: {' -> '.join(map(os.fsdecode, paths))}"
    if error.errno in {errno.EACCES, errno.EPERM}:
        return f"{words}; the service runs as {_user()}, who must be allowed to, or set DATA_DIR"
    advice = _ADVICE.get(error.errno or 0)
    return f"{words}; {advice}" if advice else words


def _user() -> str:
    number = os.geteuid()
    with suppress(KeyError):  # a container may run as a user that has no name
        return f"{pwd.getpwuid(number).pw_name} (uid {number})"
    return f"uid {number}"
