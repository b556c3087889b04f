from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.forms.multipart import MAX_OTHER_PARTS, MAX_SHOWN_CHARACTERS, FormReader
from app.api.forms.rejections import MalformedMultipart, MissingField
from testkit.forms import BOUNDARY, CONTENT_TYPE, form, part, raw_part, split, stream

Files = list[tuple[str | None, bytes]]


async def read_files(
    body: bytes | list[bytes], field: str = "file", content_type: str = CONTENT_TYPE
) -> Files:
    chunks = [body] if isinstance(body, bytes) else body
    files: Files = []
    async for file in FormReader(content_type, stream(chunks)).files(field):
        files.append((file.filename, b"".join([chunk async for chunk in file.chunks])))
    return files


async def read_file(body: bytes) -> tuple[str | None, bytes]:
    file = await FormReader(CONTENT_TYPE, stream([body])).file("file")
    return file.filename, b"".join([chunk async for chunk in file.chunks])


TRICKY = b"\r\n--" + BOUNDARY.encode()[:-1] + b"\r\n-\r\n--\r\r\n\n"
"""Content that begins like a boundary again and again."""


async def test_files_come_in_their_order_with_names_and_bytes() -> None:
    body = form(part(b"one", filename="1.jpg"), part(b"", filename="2.jpg"), part(TRICKY))
    assert await read_files(body) == [("1.jpg", b"one"), ("2.jpg", b""), ("photo.jpg", TRICKY)]


async def test_where_the_body_is_split_makes_no_difference() -> None:
    body = form(part(b"text", "title", None), part(TRICKY), part(b"second", filename="b.png"))
    expected = [("photo.jpg", TRICKY), ("b.png", b"second")]
    for at in range(len(body) + 1):
        assert await read_files([body[:at], body[at:]]) == expected, f"split at {at}"
    for size in (1, 2, 3, 7):
        assert await read_files(split(body, size)) == expected, f"pieces of {size}"


@given(st.binary(max_size=300), st.lists(st.integers(0, 400), max_size=8))
async def test_any_content_comes_through_any_split(content: bytes, places: list[int]) -> None:
    body = form(part(content))
    edges = [0, *sorted(min(place, len(body)) for place in places), len(body)]
    pieces = [body[a:b] for a, b in pairwise(edges)]
    assert await read_files(pieces) == [("photo.jpg", content)]


async def test_preamble_and_epilogue_are_skipped() -> None:
    body = b"This is a preamble.\r\n--not it\r\n" + form(part(b"content")) + b"an epilogue --x--"
    for at in range(len(body) + 1):
        pieces = [body[:at], body[at:]]
        assert await read_files(pieces) == [("photo.jpg", b"content")], f"split at {at}"
    for size in (1, 5, len(body)):
        assert await read_files(split(body, size)) == [("photo.jpg", b"content")]


async def test_chunks_are_never_empty() -> None:
    async for file in FormReader(CONTENT_TYPE, stream(split(form(part(TRICKY)), 1))).files("file"):
        assert all([chunk async for chunk in file.chunks])


async def test_an_abandoned_file_does_not_disturb_the_next() -> None:
    body = form(part(b"a" * 50, filename="a"), part(b"b" * 50, filename="b"))
    names = [
        file.filename
        async for file in FormReader(CONTENT_TYPE, stream(split(body, 9))).files("file")
    ]
    assert names == ["a", "b"]


async def test_other_fields_may_come_before_and_after_the_file() -> None:
    body = form(part(b"x", "album", None), part(b"content"), part(b"y", "tags", "t.txt"))
    assert await read_file(body) == ("photo.jpg", b"content")


async def test_a_part_without_a_filename_is_a_file_too() -> None:
    assert await read_file(form(part(b"content", filename=None))) == (None, b"content")


async def test_a_form_without_the_field_says_so() -> None:
    with pytest.raises(MissingField, match="'file'"):
        await read_file(form(part(b"content", "image")))


async def test_a_form_without_the_field_names_those_that_came() -> None:
    with pytest.raises(MissingField) as found:
        await read_file(form(part(b"x", "image"), part(b"x", "title", None), part(b"x", "image")))
    assert str(found.value) == "The form has no file in the field 'file', only 'image', 'title'."


@pytest.mark.parametrize(("field", "other"), [("file", "files"), ("files", "file")])
async def test_the_answer_to_a_form_for_the_other_call_names_that_call(
    field: str, other: str
) -> None:
    with pytest.raises(MissingField, match=f"'{other}' belongs to /api/v1/images/"):
        await read_files(form(part(b"x", "title", None), part(b"x", other)), field)


async def test_the_names_of_fields_are_repeated_short_clean_and_few() -> None:
    names = ["n" * 30_000, "\x1b[31mred\u202e", *(f"field {n}" for n in range(90))]
    with pytest.raises(MissingField) as found:
        await read_file(form(*[part(b"x", name) for name in names]))
    sentence = str(found.value)
    assert sentence.isprintable()
    assert "[31mred" in sentence
    assert f"'{'n' * MAX_SHOWN_CHARACTERS}'" in sentence
    assert len(sentence) < 200


async def test_a_form_with_no_part_at_all_misses_the_field() -> None:
    with pytest.raises(MissingField):
        await read_file(b"--" + BOUNDARY.encode() + b"--\r\n")


async def test_a_second_file_where_one_is_wanted_is_refused() -> None:
    with pytest.raises(MalformedMultipart, match="more than one"):
        await read_file(form(part(b"one"), part(b"two")))


async def test_an_incomplete_form_is_refused_wherever_it_ends() -> None:
    body = form(part(b"content"))
    for end in range(len(body) - len(b"\r\n")):
        with pytest.raises(MalformedMultipart):
            await read_file(body[:end])


@pytest.mark.parametrize(
    "content_type",
    [
        "multipart/form-data",
        "multipart/form-data; boundary=",
        'multipart/form-data; boundary=""',
        "multipart/form-data; boundary=" + "b" * 71,
    ],
)
async def test_without_a_usable_boundary_nothing_is_read(content_type: str) -> None:
    with pytest.raises(MalformedMultipart, match="boundary"):
        await read_files(form(part(b"content")), content_type=content_type)


async def test_a_quoted_boundary_with_other_parameters_is_understood() -> None:
    content_type = f'multipart/form-data; charset=utf-8; Boundary="{BOUNDARY}"'
    assert await read_files(form(part(b"x")), content_type=content_type) == [("photo.jpg", b"x")]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [b"Content-Type: image/png"],
        [b"Content-Disposition: form-data"],
        [b'Content-Disposition: attachment; name="file"'],
        [b'Content-Disposition: form-data; filename="photo.jpg"'],
        [b"Content Disposition: form-data"],
        [b": form-data"],
        [b"no colon at all"],
    ],
)
async def test_a_part_that_does_not_say_which_field_it_is_is_refused(headers: list[bytes]) -> None:
    with pytest.raises(MalformedMultipart):
        await read_files(form(raw_part(b"x", *headers)))


async def test_a_part_with_too_many_headers_is_refused() -> None:
    disposition = b'Content-Disposition: form-data; name="file"'
    bomb = raw_part(b"x", disposition, *[b"X-Header: x"] * 1_000)
    with pytest.raises(MalformedMultipart):
        await read_files(form(bomb))


@pytest.mark.parametrize("header", [b"X-Long: " + b"x" * 100_000, b"X" * 100_000 + b": x"])
async def test_a_part_with_an_endless_header_is_refused_before_its_end(header: bytes) -> None:
    consumed = 0

    def pieces() -> list[bytes]:
        return split(b"--" + BOUNDARY.encode() + b"\r\n" + header, 1_000)

    async def counting() -> AsyncIterator[bytes]:
        nonlocal consumed
        for piece in pieces():
            consumed += len(piece)
            yield piece

    with pytest.raises(MalformedMultipart):
        [file async for file in FormReader(CONTENT_TYPE, counting()).files("file")]
    assert consumed < 40_000


async def test_ten_thousand_other_parts_are_refused_early() -> None:
    parts = [part(b"", f"field{number}", None) for number in range(10_000)]
    with pytest.raises(MalformedMultipart, match="too many"):
        await read_files(form(*parts))


async def test_a_reasonable_number_of_other_parts_is_fine() -> None:
    parts = [part(b"", f"field{number}", None) for number in range(MAX_OTHER_PARTS)]
    assert await read_files(form(*parts, part(b"x"))) == [("photo.jpg", b"x")]


async def test_a_nested_multipart_is_content_like_any_other() -> None:
    inner = b'--inner\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--inner--'
    assert await read_files(form(part(inner))) == [("photo.jpg", inner)]


@given(st.binary(max_size=400))
async def test_no_body_breaks_the_reader(noise: bytes) -> None:
    for body in (noise, b"--" + BOUNDARY.encode() + b"\r\n" + noise, form(noise)):
        with suppress(MalformedMultipart, MissingField):
            await read_files(body)
