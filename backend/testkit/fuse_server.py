"""A folder served through FUSE, as network disks are: one that can hang, refuse calls, or be lost.

    python fuse_server.py SOURCE MOUNTPOINT [CALL=ERRNO …]

Shows SOURCE at MOUNTPOINT, but each CALL (such as FSYNCDIR) fails with that error. Stopped by a
signal it hangs; killed, it is a server that is gone. It speaks the kernel's protocol
(linux/fuse.h, 7.31) over /dev/fuse, so that nothing is needed but the permission to mount.
"""

import ctypes
import errno
import os
import struct
import sys
from contextlib import suppress
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_WRITE = 128 * 1024
_SECONDS_VALID = 1
_LIBC = ctypes.CDLL(None, use_errno=True)


class Op(IntEnum):
    LOOKUP = 1
    FORGET = 2
    GETATTR = 3
    SETATTR = 4
    MKDIR = 9
    UNLINK = 10
    RMDIR = 11
    RENAME = 12
    OPEN = 14
    READ = 15
    WRITE = 16
    STATFS = 17
    RELEASE = 18
    FSYNC = 20
    FLUSH = 25
    INIT = 26
    OPENDIR = 27
    READDIR = 28
    RELEASEDIR = 29
    FSYNCDIR = 30
    CREATE = 35
    INTERRUPT = 36
    BATCH_FORGET = 42
    RENAME2 = 45


_UNANSWERED = (Op.FORGET, Op.BATCH_FORGET, Op.INTERRUPT)


class Server:
    """Answers the kernel's requests, one after the other."""

    def __init__(self, source: Path, failures: dict[Op, int]) -> None:
        self._paths = {1: source}
        self._failures = failures
        self._answers: dict[Op, Callable[[Path, bytes], bytes]] = {
            Op.INIT: self.init,
            Op.LOOKUP: lambda path, data: self.entry(path / name(data)),
            Op.GETATTR: lambda path, _: attributes_out(path),
            Op.SETATTR: self.setattr,
            Op.MKDIR: self.mkdir,
            Op.UNLINK: self.unlink,
            Op.RMDIR: self.rmdir,
            Op.RENAME: lambda path, data: self.rename(path, data, 8),
            Op.RENAME2: lambda path, data: self.rename(path, data, 16),
            Op.OPEN: lambda path, data: handle(os.open(path, struct.unpack_from("<I", data)[0])),
            Op.CREATE: self.create,
            Op.READ: self.read,
            Op.WRITE: self.write,
            Op.STATFS: self.statfs,
            Op.RELEASE: self.release,
            Op.FSYNC: self.fsync,
            Op.FLUSH: lambda _path, _data: b"",
            Op.OPENDIR: lambda _path, _data: handle(0),
            Op.READDIR: self.readdir,
            Op.RELEASEDIR: lambda _path, _data: b"",
            Op.FSYNCDIR: lambda _path, _data: b"",
        }

    def serve(self, device: int) -> None:
        """Answer requests until the folder is unmounted."""
        while True:
            try:
                request = os.read(device, MAX_WRITE + 4096)
            except OSError as error:
                if error.errno == errno.ENODEV:
                    return
                if error.errno in {errno.ENOENT, errno.EINTR}:  # taken back since
                    continue
                raise
            _, number, unique, node = struct.unpack_from("<IIQQ", request)
            if number in _UNANSWERED:
                continue
            failure, answer = 0, b""
            try:
                op = Op(number)
                if op in self._failures:
                    raise OSError(self._failures[op], "as requested")
                answer = self._answers[op](self._paths[node or 1], request[40:])
            except (ValueError, KeyError):
                failure = errno.ENOSYS
            except OSError as error:
                failure = error.errno or errno.EIO
            with suppress(FileNotFoundError):  # nobody waits for the answer any more
                os.write(device, struct.pack("<IiQ", 16 + len(answer), -failure, unique) + answer)

    def init(self, _path: Path, data: bytes) -> bytes:
        _, _, readahead, _ = struct.unpack_from("<IIII", data)
        return struct.pack("<IIIIHHIIHHI28x", 7, 31, readahead, 0, 16, 12, MAX_WRITE, 1, 0, 0, 0)

    def entry(self, path: Path) -> bytes:
        found = attributes(path)
        node = path.lstat().st_ino
        self._paths[node] = path
        return struct.pack("<QQQQII", node, 0, _SECONDS_VALID, _SECONDS_VALID, 0, 0) + found

    def setattr(self, path: Path, data: bytes) -> bytes:
        valid, _, size = struct.unpack_from("<IxxxxQQ", data)
        mode, _, uid, gid = struct.unpack_from("<IIII", data, 68)
        if valid & 1:
            path.chmod(mode & 0o7777)
        if valid & 6:
            os.chown(path, uid if valid & 2 else -1, gid if valid & 4 else -1)
        if valid & 8:
            os.truncate(path, size)
        return attributes_out(path)

    def mkdir(self, path: Path, data: bytes) -> bytes:
        mode, _ = struct.unpack_from("<II", data)
        folder = path / name(data[8:])
        folder.mkdir(mode & 0o7777)
        return self.entry(folder)

    def unlink(self, path: Path, data: bytes) -> bytes:
        (path / name(data)).unlink()
        return b""

    def rmdir(self, path: Path, data: bytes) -> bytes:
        (path / name(data)).rmdir()
        return b""

    def release(self, _path: Path, data: bytes) -> bytes:
        os.close(struct.unpack_from("<Q", data)[0])
        return b""

    def fsync(self, _path: Path, data: bytes) -> bytes:
        os.fsync(struct.unpack_from("<Q", data)[0])
        return b""

    def rename(self, path: Path, data: bytes, begin: int) -> bytes:
        (folder,) = struct.unpack_from("<Q", data)
        old, new = data[begin:].split(b"\0")[:2]
        source, target = path / os.fsdecode(old), self._paths[folder] / os.fsdecode(new)
        node = source.lstat().st_ino
        source.rename(target)
        self._paths[node] = target
        return b""

    def create(self, path: Path, data: bytes) -> bytes:
        flags, mode = struct.unpack_from("<II", data)
        file = path / name(data[16:])
        opened = os.open(file, flags | os.O_CREAT, mode & 0o7777)
        return self.entry(file) + handle(opened)

    def read(self, _path: Path, data: bytes) -> bytes:
        opened, offset, size = struct.unpack_from("<QQI", data)
        return os.pread(opened, size, offset)

    def write(self, _path: Path, data: bytes) -> bytes:
        opened, offset, size = struct.unpack_from("<QQI", data)
        return struct.pack("<II", os.pwrite(opened, data[40 : 40 + size], offset), 0)

    def statfs(self, path: Path, _data: bytes) -> bytes:
        found = os.statvfs(path)
        counts = (found.f_blocks, found.f_bfree, found.f_bavail, found.f_files, found.f_ffree)
        return struct.pack("<QQQQQIII28x", *counts, found.f_bsize, 255, found.f_frsize)

    def readdir(self, path: Path, data: bytes) -> bytes:
        _, offset, size = struct.unpack_from("<QQI", data)
        answer = b""
        for number, found in enumerate(sorted(os.scandir(path), key=lambda entry: entry.name)):
            if number < offset:
                continue
            encoded = os.fsencode(found.name)
            entry = struct.pack("<QQII", found.inode(), number + 1, len(encoded), 0) + encoded
            entry += bytes(-len(entry) % 8)
            if len(answer) + len(entry) > size:
                break
            answer += entry
        return answer


def name(data: bytes) -> str:
    return os.fsdecode(data.partition(b"\0")[0])


def handle(opened: int) -> bytes:
    return struct.pack("<QII", opened, 0, 0)


def attributes(path: Path) -> bytes:
    found = path.lstat()
    times = (found.st_atime_ns, found.st_mtime_ns, found.st_ctime_ns)
    return struct.pack(
        "<QQQQQQIIIIIIIIII",
        *(found.st_ino, found.st_size, found.st_blocks),
        *(time // 10**9 for time in times),
        *(time % 10**9 for time in times),
        *(found.st_mode, found.st_nlink, found.st_uid, found.st_gid, 0, found.st_blksize, 0),
    )


def attributes_out(path: Path) -> bytes:
    return struct.pack("<QII", _SECONDS_VALID, 0, 0) + attributes(path)


def mount(folder: Path) -> int:
    """Mount a FUSE filesystem; return the device to serve it over.

    Raises:
        OSError: If this may not be done here.
    """
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id={os.geteuid()},group_id={os.getegid()}"
    options += ",allow_other,default_permissions"
    if _LIBC.mount(b"image-host", os.fsencode(folder), b"fuse", 0, options.encode()):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), str(folder))
    return device


if __name__ == "__main__":
    failures = dict(argument.split("=") for argument in sys.argv[3:])
    server = Server(
        Path(sys.argv[1]), {Op[call]: getattr(errno, number) for call, number in failures.items()}
    )
    opened = mount(Path(sys.argv[2]))
    print("mounted", flush=True)  # noqa: T201 - to who started it
    server.serve(opened)
