import pytest

from app.storage.s3.answers import parse, read_objects
from app.storage.s3.refusals import refusal

BOMB = b"""<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<Error><Code>&b;</Code></Error>"""


@pytest.mark.parametrize("body", [BOMB, BOMB.decode().encode("utf-16"), b"", b"{}", b"\xff<a/>"])
def test_only_plain_xml_is_read(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        parse(body)


@pytest.mark.parametrize(
    "content",
    [
        "<Key>k</Key><Size>1</Size>",
        "<Key>k</Key><Size>many</Size><LastModified>2026-11-26T12:00:00Z</LastModified>",
        "<Key>k</Key><Size>1</Size><LastModified>2026-11-26T12:00:00</LastModified>",
        "<Size>1</Size><LastModified>2026-11-26T12:00:00Z</LastModified>",
    ],
)
def test_a_list_with_an_object_that_is_none_is_no_list(content: str) -> None:
    document = f"<ListBucketResult><Contents>{content}</Contents></ListBucketResult>"
    with pytest.raises(ValueError, match=r"."):
        read_objects(parse(document.encode()))


def error(code: str, more: str = "") -> bytes:
    return f"<Error><Code>{code}</Code>{more}<Message>m</Message></Error>".encode()


@pytest.mark.parametrize(
    ("status", "fields", "body", "sentence"),
    [
        (
            400,
            {},
            error("AuthorizationHeaderMalformed", "<Region>eu-west-1</Region>"),
            "STORAGE_URL needs the region of the bucket: region=eu-west-1",
        ),
        (301, {"x-amz-bucket-region": "eu-west-1"}, error("PermanentRedirect"), "=eu-west-1"),
        (301, {"x-amz-bucket-region": "\x1b[31m"}, error("PermanentRedirect"), "of the bucket"),
        (
            403,
            {"Date": "Thu, 26 Nov 2099 12:00:00 GMT"},
            error("RequestTimeTooSkewed"),
            "behind the store's: synchronise both",
        ),
        (403, {}, error("RequestTimeTooSkewed"), "differ: synchronise both"),
        (507, {}, b"", "the store is full"),
        (403, {}, error("not a code\n"), "no code (403); that is no answer of S3"),
        (418, {}, error("Teapot"), "Teapot (418)"),
    ],
)
def test_a_refusal_is_one_sentence(
    status: int, fields: dict[str, str], body: bytes, sentence: str
) -> None:
    failure = str(refusal("GET in s3://bucket/", status, fields, body))
    assert failure.startswith("GET in s3://bucket/: ")
    assert failure.endswith(sentence) or sentence in failure
    assert failure.isprintable()
