"""The field of a form that says what becomes of its files."""

from collections.abc import AsyncIterator

import pytest

from app.api.forms.multipart import MAX_OPTION_BYTES, FormReader
from app.api.forms.rejections import InvalidField, MissingField
from testkit.forms import CONTENT_TYPE, form, part, split, stream

FILES = [part(b"one", filename="1.jpg"), part(b"two", filename="2.jpg")]


def flag(value: bytes | str, filename: str | None = None) -> bytes:
    content = value if isinstance(value, bytes) else value.encode()
    return part(content, "strip_metadata", filename)


async def read(*parts: bytes, piece: int = 10_000) -> list[bool | None]:
    reader = FormReader(CONTENT_TYPE, stream(split(form(*parts), piece)))
    return [file.options.strip_metadata async for file in reader.files("file")]


@pytest.mark.parametrize(
    ("value", "meaning"),
    [
        *((value, True) for value in ("true", "True", "TRUE", "1", "on", "yes")),
        *((value, False) for value in ("false", "False", "FALSE", "0", "off", "no")),
    ],
)
@pytest.mark.parametrize("piece", [1, 10_000])
async def test_true_and_false_are_what_pydantic_takes_for_them(
    value: str, meaning: bool, piece: int
) -> None:
    assert await read(flag(value), *FILES, piece=piece) == [meaning, meaning]


async def test_a_form_need_not_say() -> None:
    assert await read(*FILES) == [None, None]


@pytest.mark.parametrize(
    "value", ["", "maybe", "2", " true", b"\xff\xfe", "true\0", "1" * (MAX_OPTION_BYTES + 1)]
)
async def test_any_other_value_is_refused(value: bytes | str) -> None:
    with pytest.raises(InvalidField, match="strip_metadata must be true or false"):
        await read(flag(value), *FILES)


async def test_a_value_that_comes_as_a_file_is_refused_not_ignored() -> None:
    with pytest.raises(InvalidField, match="without a file name"):
        await read(flag("true", "blob"), *FILES)


async def test_no_more_than_a_few_bytes_of_a_value_are_read() -> None:
    consumed = 0

    async def counted() -> AsyncIterator[bytes]:
        nonlocal consumed
        for piece in split(form(flag(bytes(1_000_000)), *FILES), 100):
            consumed += len(piece)
            yield piece

    with pytest.raises(InvalidField):
        [file async for file in FormReader(CONTENT_TYPE, counted()).files("file")]
    assert consumed < 1_000


async def test_it_is_refused_twice() -> None:
    with pytest.raises(InvalidField, match="only once"):
        await read(flag("true"), flag("true"), *FILES)


@pytest.mark.parametrize("place", [1, 2])
async def test_it_is_refused_behind_a_file(place: int) -> None:
    parts = [*FILES[:place], flag("true"), *FILES[place:]]
    with pytest.raises(InvalidField, match="before the file"):
        await read(*parts)


async def test_the_chunks_of_the_only_file_end_with_a_refusal_where_it_follows() -> None:
    file = await FormReader(CONTENT_TYPE, stream([form(FILES[0], flag("true"))])).file("file")
    with pytest.raises(InvalidField, match="before the file"):
        [chunk async for chunk in file.chunks]


async def test_a_form_without_a_file_misses_it_whatever_it_says() -> None:
    with pytest.raises(MissingField):
        await read(flag("true"))
