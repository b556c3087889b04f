"""The least that an upload takes in Python: uvicorn alone, with neither framework nor row nor rule.

It finds the file in the form by python-multipart, takes its SHA-256, and makes it durable as the
service does: past the page cache, fsync, rename, fsync of the folder.

    uvicorn bench.bare_upload:app --no-access-log --no-proxy-headers --no-server-header
"""

import mmap
import os
from hashlib import sha256
from pathlib import Path
from typing import Final
from uuid import uuid4

from python_multipart.multipart import MultipartParser
from starlette.concurrency import run_in_threadpool
from starlette.types import Receive, Scope, Send

_PAGE: Final = 4096
_DIRECT: Final[int] = getattr(os, "O_DIRECT", 0)
_ROOM: Final = 32 << 20
"""Bytes of address space for the file of an upload."""


class BareUpload:
    """Stores the file of a form, or sends one that was stored.

    Args:
        folder: Where files are.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._free: list[mmap.mmap] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        if scope["method"] == "POST":
            status, answer = 201, await self._store(dict(scope["headers"]), receive)
        else:
            status, answer = 200, self._read(scope["path"])
        fields = [(b"content-length", b"%d" % len(answer))]
        await send({"type": "http.response.start", "status": status, "headers": fields})
        await send({"type": "http.response.body", "body": answer})

    async def _store(self, fields: dict[bytes, bytes], receive: Receive) -> bytes:
        memory = self._free.pop() if self._free else mmap.mmap(-1, _ROOM)
        size = 0

        def keep(data: bytes, begin: int, end: int) -> None:
            nonlocal size
            memory[size : size + end - begin] = memoryview(data)[begin:end]
            size += end - begin

        boundary = fields[b"content-type"].partition(b"boundary=")[2]
        parser = MultipartParser(boundary, {"on_part_data": keep})
        more = True
        while more:
            message = await receive()
            parser.write(message.get("body", b""))
            more = message.get("more_body", False)
        image_id = uuid4().hex
        await run_in_threadpool(self._write, image_id, memory, size)
        self._free.append(memory)
        return b'{"id": "%s", "as long as others": "%s"}' % (image_id.encode(), b"-" * 250)

    def _write(self, image_id: str, memory: mmap.mmap, size: int) -> None:
        staged = self._folder / image_id
        end_of_pages = size // _PAGE * _PAGE
        with memoryview(memory) as content:
            sha256(content[:size]).hexdigest()
            for flag, begin, end in ((_DIRECT, 0, end_of_pages), (0, end_of_pages, size)):
                descriptor = os.open(staged, os.O_WRONLY | os.O_CREAT | flag, 0o600)
                os.pwrite(descriptor, content[begin:end], begin)
                if end == size:
                    os.fsync(descriptor)
                os.close(descriptor)
        staged.rename(f"{staged}.jpg")
        folder = os.open(self._folder, os.O_RDONLY | os.O_DIRECTORY)
        os.fsync(folder)
        os.close(folder)

    def _read(self, path: str) -> bytes:
        """Return the file of /images/ID/file, nothing for another path."""
        file = self._folder / f"{Path(path).parent.name}.jpg"
        return file.read_bytes() if file.exists() else b""


app = BareUpload(Path(os.environ.get("FOLDER", ".")))
