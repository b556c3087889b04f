"""Names as clients write them into forms; `api/test_clients.py` sends some with the clients."""

from base64 import b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.api.forms.multipart import FormReader
from app.api.forms.names import decode_header, parse_parameters, read_name
from testkit.forms import CONTENT_TYPE, form, part, raw_part, stream


async def stored_name(parameter: bytes) -> str | None:
    body = form(raw_part(b"x", b'Content-Disposition: form-data; name="file"; ' + parameter))
    file = await FormReader(CONTENT_TYPE, stream([body])).file("file")
    return file.filename


def of_filename(value: str) -> str | None:
    return read_name({"filename": value}, "filename")


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (b'filename="a;b=c.jpg"', "a;b=c.jpg"),
        (rb'filename="say \"cheese\".jpg"', 'say "cheese".jpg'),
        (rb'filename="C:\temp\new.jpg"', r"C:\temp\new.jpg"),
        (b"filename=plain.jpg", "plain.jpg"),
        (b'FileName="case.jpg"', "case.jpg"),
        ('filename="Zürich 😀.jpg"'.encode(), "Zürich 😀.jpg"),
        (b'filename=""', ""),
        (b'filename="unclosed.jpg', '"unclosed.jpg'),
        (b'filename="' + "😀".encode() * 4_000 + b'"', "😀" * 4_000),
    ],
)
async def test_names_are_read_as_clients_write_them(parameter: bytes, expected: str) -> None:
    assert await stored_name(parameter) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("say %22cheese%22.png", 'say "cheese".png'),
        ("a%0D%0Ab%0d%0a.png", "a\r\nb\r\n.png"),
        ("图%22.png", '图".png'),
        ("100%25.png", "100%25.png"),
        ("%2522.png", "%2522.png"),
        ("my%20photo%2F1.png", "my%20photo%2F1.png"),
        ("%.png", "%.png"),
        ("%2", "%2"),
        ("tab%09.png", "tab%09.png"),
        (r"C:\%22.png", r"C:\".png"),
    ],
)
def test_of_browsers_escapes_quote_and_line_breaks_are_decoded_and_nothing_else(
    written: str, expected: str
) -> None:
    assert of_filename(written) == expected


async def test_the_names_of_fields_are_escaped_in_the_same_way() -> None:
    [file] = [
        file
        async for file in FormReader(
            CONTENT_TYPE, stream([form(part(b"x", "the %22file%22"))])
        ).files('the "file"')
    ]
    assert file.filename == "photo.jpg"


async def test_a_field_beside_the_file_may_be_named_as_aiohttp_does() -> None:
    """RFC 7578 has no `name*`; the file is read all the same."""
    header = b"Content-Disposition: form-data; name*=utf-8''%C3%9Cbersicht"
    reader = FormReader(CONTENT_TYPE, stream([form(raw_part(b"x", header), part(b"y"))]))
    assert (await reader.file("file")).filename == "photo.jpg"


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("%E5%9B%BE.png", "图.png"),
        ("%e5%9b%be%20%281%29.png", "图 (1).png"),
        ("100%25%20%E5%9B%BE.png", "100% 图.png"),
        ("Z%C3%BCrich%22.png", 'Zürich".png'),
        ("%2525%E5%9B%BE.png", "%25图.png"),
        ("a/b%2F%E5%9B%BE.png", "a/b/图.png"),
    ],
)
def test_a_percent_encoded_name_is_decoded_where_it_is_more_than_ascii(
    written: str, expected: str
) -> None:
    assert of_filename(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "%E5%9B.png",
        "%FC.png",
        "%C0%AF.png",
        "%ED%A0%80.png",
        "100% %E5%9B%BE.png",
        "%E5%9B%BE (1).png",
        "%E5%9B%BE%.png",
        "ü%E5%9B%BE.png",
    ],
)
def test_what_has_another_reading_than_percent_encoding_stays(written: str) -> None:
    assert of_filename(written) == written


def test_a_name_that_spells_an_escape_is_decoded_once() -> None:
    assert of_filename(quote("%22图%E5%9B%BE.png")) == "%22图%E5%9B%BE.png"
    assert read_name({"filename*": "utf-8''%2522%25E5%259B%25BE.png"}, "filename") == (
        "%22%E5%9B%BE.png"
    )
    word = b64encode("%22 图 =?utf-8?Q?x?=".encode()).decode()
    assert of_filename(f"=?utf-8?B?{word}?=") == "%22 图 =?utf-8?Q?x?="


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("=?utf-8?B?5Zu+LnBuZw==?=", "图.png"),
        ("=?UTF-8?b?5Zu+LnBuZw==?=", "图.png"),
        ("=?utf-8?Q?Z=C3=BCrich_am_See.png?=", "Zürich am See.png"),
        ("=?iso-8859-1?q?caf=E9.png?=", "café.png"),
        ("=?windows-1252?Q?=80.png?=", "€.png"),
        ("=?gb2312?B?zbwucG5n?=", "图.png"),
        ("=?ISO-2022-JP?B?GyRCP14bKEIucG5n?=", "図.png"),
        ("=?utf-8*de?Q?M=C3=BCnchen.png?=", "München.png"),
        ("=?utf-8?B?5Zs=?= =?utf-8?B?vi5wbmc=?=", "图.png"),
        ("=?utf-8?Q?=E5=9B=BE?=\r\n =?us-ascii?Q?.png?=", "图.png"),
        ("=?utf-8?Q?plain.png?=", "plain.png"),
    ],
)
def test_a_name_of_encoded_words_is_decoded(written: str, expected: str) -> None:
    assert of_filename(written) == expected


@pytest.mark.parametrize(
    "written",
    [
        "a =?utf-8?B?5Zu+LnBuZw==?=",
        "=?utf-8?B?5Zu+LnBuZw==?=.png",
        "=?utf-8?B?5Zu+LnBuZw?=",
        "=?utf-8?B?5Zu!LnBuZw==?=",
        "=?utf-8?B?/w==?=",
        "=?utf-8?Q?=ZZ.png?=",
        "=?utf-8?Q?=FF.png?=",
        "=?utf-8?X?abc?=",
        "=?rot13?Q?cubgb.png?=",
        "=?unicode_escape?Q?=5Cn?=",
        "=?iso-8859-12?Q?a?=",
        "=?utf-8?Q?a b?=",
        "=?utf-8?B?5Zu+LnBuZw==",
    ],
)
def test_what_is_no_valid_encoded_word_of_a_known_charset_stays(written: str) -> None:
    assert of_filename(written) == written


@pytest.mark.parametrize(
    ("parameter", "expected"),
    [
        (b"filename*=UTF-8''Z%C3%BCrich.jpg", "Zürich.jpg"),
        (b"filename*=utf-8'de'%E2%82%AC.jpg; filename=EUR.jpg", "€.jpg"),
        (b"filename=EUR.jpg; filename*=UTF-8''%E2%82%AC.jpg", "€.jpg"),
        (b"filename=\"=?utf-8?B?5Zs=?=\"; filename*=utf-8''%E2%82%AC.jpg", "€.jpg"),
        (b"filename*=iso-8859-1''caf%E9.jpg", "café.jpg"),
        (b"filename*=rot13''cubgb.jpg; filename=photo.jpg", "photo.jpg"),
        (b"filename*=UTF-8''%FF%FE.jpg; filename=photo.jpg", "photo.jpg"),
        (b"filename*=UTF-8''100%.jpg; filename=photo.jpg", "photo.jpg"),
        (b"filename*=UTF-8''; filename=photo.jpg", "photo.jpg"),
        (b"filename*=photo.jpg; filename=%E5%9B%BE.jpg", "图.jpg"),
        (b"filename*=UTF-8''%FF%FE.jpg", None),
    ],
)
async def test_an_extended_name_comes_first_where_it_is_valid(
    parameter: bytes, expected: str | None
) -> None:
    assert await stored_name(parameter) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (b"caf\xe9.jpg", "café.jpg"),
        ("图".encode() + b"\xe5\x9b.jpg", "图\ufffd.jpg"),
        ("\ufffd.jpg".encode(), "\ufffd.jpg"),
        ("Ã¼.jpg".encode(), "Ã¼.jpg"),
    ],
)
async def test_bytes_that_cannot_be_utf_8_are_latin_1(value: bytes, expected: str) -> None:
    assert await stored_name(b'filename="' + value + b'"') == expected


@given(st.binary(max_size=200))
def test_no_header_breaks_the_parameters_and_their_names(header: bytes) -> None:
    parameters = parse_parameters(decode_header(header))
    assert all(name == name.lower() for name in parameters)
    for name in parameters:
        read_name(parameters, name.removesuffix("*"))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
def test_every_name_comes_through_as_each_kind_of_client_writes_it(name: str) -> None:
    by_aiohttp = quote(name, safe="")
    by_net = f"=?utf-8?B?{b64encode(name.encode()).decode()}?="
    assert of_filename(by_net) == name
    assert read_name({"filename": "x", "filename*": f"utf-8''{by_aiohttp}"}, "filename") == (
        name or "x"
    )
    if not name.isascii():
        assert of_filename(by_aiohttp) == name


@pytest.mark.parametrize(
    "long", ["%E5" * 10_000 + "%", "=?utf-8?Q?a?= " * 2_000, "=?utf-8?Q?" * 3_000]
)
def test_a_long_name_that_is_almost_encoded_is_read_in_linear_time(long: str) -> None:
    assert of_filename(long) == long
    assert read_name({"filename*": f"utf-8''{long}"}, "filename") is None or "%" not in long
