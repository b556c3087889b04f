"""Reading multipart/form-data (RFC 7578) as it arrives, keeping no more than a chunk of it.

python-multipart's push parser finds the boundaries. This module turns its callbacks into
something to iterate over, and bounds what a client may send besides the files themselves.
"""

from collections import deque
from collections.abc import AsyncIterator
from typing import Any, Final, Literal, NamedTuple

from pydantic import TypeAdapter, ValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser

from app.api.forms.names import decode_header, parse_parameters, read_name
from app.api.forms.rejections import InvalidField, MalformedMultipart, MissingField
from app.services.staging import IncomingFile, UploadOptions

MAX_OPTION_BYTES: Final = 16
"""Of the value of a field that says what is asked for the files."""
MAX_BOUNDARY_BYTES: Final = 70
"""RFC 2046, section 5.1.1."""
MAX_OTHER_PARTS: Final = 100
"""Parts that are not a file of the wanted field; they are skipped."""
MAX_SHOWN_CHARACTERS: Final = 40
"""Of their names, which an answer may repeat."""
MAX_PART_HEADERS: Final = 8
MAX_PART_HEADER_BYTES: Final = 32 * 1024
"""For one header; holds a file name of 4,000 characters, whatever they are."""

_FLAG: Final = TypeAdapter(bool)
_FLAG_WORDS: Final = "true or false"
_OPTIONS: Final[dict[str, tuple[TypeAdapter[Any], str]]] = {
    "strip_metadata": (_FLAG, _FLAG_WORDS),
    "is_public": (_FLAG, _FLAG_WORDS),
    "on_duplicate": (TypeAdapter(Literal["store", "return"]), "store or return"),
}
"""The fields of `UploadOptions`: what their values are, for the program and for people."""
OPTIONS: Final = tuple(_OPTIONS)


class _PartBegin(NamedTuple):
    name: str
    filename: str | None


class _PartEnd:
    """The part is complete."""


class FormReader:
    """The files of one form, and what it asks for them.

    Args:
        content_type: The request's Content-Type, with its boundary parameter.
        body: The request's body, in any pieces.

    Raises:
        MalformedMultipart: If the content type names no usable boundary.
    """

    def __init__(self, content_type: str, body: AsyncIterator[bytes]) -> None:
        boundary = parse_parameters(content_type).get("boundary", "").encode("latin-1", "replace")
        if not 0 < len(boundary) <= MAX_BOUNDARY_BYTES:
            raise MalformedMultipart("The Content-Type of a form must name its boundary.")
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        self._preamble: bytes | None = b"\r\n"
        self._events: deque[_PartBegin | bytes | _PartEnd] = deque()
        self._complete = False
        self._field = b""
        self._value = b""
        self._disposition: bytes | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_field,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=MAX_PART_HEADERS,
            max_header_size=MAX_PART_HEADER_BYTES,
        )

    async def files(self, field: str) -> AsyncIterator[IncomingFile]:
        """Iterate over the files of a field, in their order, until the body ends.

        Raises:
            MissingField: At the end, if there was none.
            InvalidField: If an option is wrong, is there twice, or follows a file.
            MalformedMultipart: If the form is malformed or incomplete.
        """
        found = False
        options: dict[str, Any] = {}
        others: list[str] = []
        while (event := await self._next_event()) is not None:
            if not isinstance(event, _PartBegin):
                continue
            if event.name == field:
                found = True
                yield IncomingFile(event.filename, self._chunks(), UploadOptions(**options))
            elif (name := event.name) in _OPTIONS:
                if found:
                    sentence = f"Send {name} before the file; nothing was stored."
                    raise InvalidField(name, sentence)
                if name in options:
                    raise InvalidField(name, f"Send {name} only once.")
                options[name] = await self._read_option(event)
            else:
                others.append(event.name[:MAX_SHOWN_CHARACTERS])
                if len(others) > MAX_OTHER_PARTS:
                    raise MalformedMultipart(f"The form has too many parts besides '{field}'.")
        if not found:
            raise MissingField(field, others)

    async def file(self, field: str) -> IncomingFile:
        """Return the one file of a field; its chunks end when the whole form has been read.

        Raises:
            MissingField: If there is none.
            InvalidField: As `files`, and from the chunks.
            MalformedMultipart: As `files`, and from the chunks, if there is a second file.
        """
        files = self.files(field)
        file = await anext(files)

        async def chunks() -> AsyncIterator[bytes]:
            async for chunk in file.chunks:
                yield chunk
            async for _ in files:
                raise MalformedMultipart(f"The form has more than one file in '{field}'.")

        return file._replace(chunks=chunks())

    async def _read_option(self, part: _PartBegin) -> object:
        """Return the value of a field that says what is asked for the files.

        Raises:
            InvalidField: If it has no such value, or is a file.
        """
        adapter, words = _OPTIONS[part.name]
        value = b""
        async for chunk in self._chunks():
            value += chunk
            if len(value) > MAX_OPTION_BYTES:
                break
        try:
            if part.filename is None:
                return adapter.validate_python(value.decode("latin-1"))
        except ValidationError:
            pass
        sentence = f"{part.name} must be {words}, without a file name."
        raise InvalidField(part.name, sentence)

    async def _chunks(self) -> AsyncIterator[bytes]:
        while isinstance(event := await self._next_event(), bytes):
            yield event

    async def _next_event(self) -> _PartBegin | bytes | _PartEnd | None:
        while not self._events:
            data = await anext(self._body, None)
            if data is not None:
                self._feed(data)
            elif self._complete:
                return None
            else:
                raise MalformedMultipart("The form ends before its final boundary.")
        return self._events.popleft()

    def _feed(self, data: bytes) -> None:
        if self._preamble is not None:
            seen = self._preamble + data
            begin = seen.find(self._delimiter)
            if begin < 0:
                self._preamble = seen[-len(self._delimiter) :]
                return
            self._preamble = None
            data = seen[begin:]
        if self._complete:
            return  # the epilogue
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise MalformedMultipart("The body is not a well-formed multipart form.") from error

    def _on_part_begin(self) -> None:
        self._disposition = None

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._field += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._value += data[start:end]

    def _on_header_end(self) -> None:
        if self._field.lower() == b"content-disposition":
            self._disposition = self._value
        self._field = self._value = b""

    def _on_headers_finished(self) -> None:
        header = decode_header(self._disposition or b"")
        parameters = parse_parameters(header)
        kind = header.partition(";")[0].strip().lower()
        name = read_name(parameters, "name")
        if kind != "form-data" or name is None:
            raise MalformedMultipart("A part of the form does not say which field it is.")
        self._events.append(_PartBegin(name, read_name(parameters, "filename")))

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._events.append(data[start:end])

    def _on_part_end(self) -> None:
        self._events.append(_PartEnd())

    def _on_end(self) -> None:
        self._complete = True
