"""Fuzzing of the form and of what it names: multipart, file names, magic bytes."""

from collections.abc import AsyncIterator, Coroutine
from typing import TypeVar

import atheris  # type: ignore[import-untyped]

from app.api.forms.multipart import FormReader
from app.api.forms.rejections import InvalidField, MalformedMultipart, MissingField
from app.domain.filenames import MAX_CHARACTERS, sanitize_filename
from app.imaging.formats import HEAD_BYTES, detect
from app.services.staging import UploadOptions

BOUNDARY = b"b"
CONTENT_TYPE = "multipart/form-data; boundary=b"
PIECES = (
    b"--b\r\n",
    b"--b--\r\n",
    b"\r\n--b",
    b'Content-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n',
    b"Content-Disposition: form-data; name=file; filename*=UTF-8''%e2%82%ac\r\n\r\n",
    b'Content-Disposition: form-data; name="strip_metadata"\r\n\r\ntrue',
    b"\r\n",
    b"--",
)

Result = TypeVar("Result")
Outcome = list[tuple[str | None, UploadOptions, bytes]] | str


def fuzz(provider: atheris.FuzzedDataProvider) -> None:
    """Check one input."""
    match provider.ConsumeIntInRange(0, 2):
        case 0:
            _fuzz_multipart(provider)
        case 1:
            _fuzz_filename(provider.ConsumeUnicode(1000))
        case _:
            head = provider.ConsumeBytes(64)
            assert detect(head) == detect(head[:HEAD_BYTES])


def _fuzz_multipart(provider: atheris.FuzzedDataProvider) -> None:
    body = b""
    while provider.remaining_bytes() and len(body) < 4096:
        if provider.ConsumeBool():
            body += PIECES[provider.ConsumeIntInRange(0, len(PIECES) - 1)]
        else:
            body += provider.ConsumeBytes(provider.ConsumeIntInRange(1, 32))
    at = provider.ConsumeIntInRange(0, len(body))
    assert _read([body]) == _read([body[:at], body[at:]]), "where it is split makes a difference"


def _read(chunks: list[bytes]) -> Outcome:
    async def read() -> Outcome:
        async def stream() -> AsyncIterator[bytes]:
            for chunk in chunks:
                yield chunk

        files = []
        try:
            async for file in FormReader(CONTENT_TYPE, stream()).files("file"):
                content = b"".join([chunk async for chunk in file.chunks])
                files.append((file.filename, file.options, content))
        except (InvalidField, MalformedMultipart, MissingField) as error:
            return type(error).__name__
        return files

    return _run(read())


def _run(coroutine: Coroutine[None, None, Result]) -> Result:
    """Run what never really waits, without an event loop."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        result: Result = end.value
        return result
    raise AssertionError("it waits")


def _fuzz_filename(name: str) -> None:
    safe = sanitize_filename(name, "image.jpg")
    assert 0 < len(safe) <= MAX_CHARACTERS
    assert not set(safe) & set("/\\\0\r\n")
    safe.encode()
    assert sanitize_filename(safe, "other") == safe
