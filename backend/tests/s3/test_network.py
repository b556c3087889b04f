"""A network that changes and breaks what service and store say: nothing is lost or invented."""

import re
from collections.abc import Callable
from functools import partial

import httpx
import pytest

from testkit import samples
from testkit.problems import assert_problem
from testkit.programs import needs_ceph
from testkit.relay import instead
from testkit.s3_host import S3Host, impatient

pytestmark = needs_ceph

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(20 * 1024 * 1024)
"""One of several parts."""
COMPLETE = re.compile(rb"^POST \S+\?uploadId=")
DATE = re.compile(rb"(?i)(x-amz-date: )\d{8}T\d{6}Z")


def contains(part: bytes, passing: bytes) -> bool:
    return part in passing


async def assert_unavailable(host: S3Host, image_id: str) -> None:
    """Check that the store is not used as it answers now."""
    with impatient():
        for refused in (
            await host.upload(JPEG),
            await host.upload(LARGE),
            await host.get(image_id),
        ):
            assert_problem(refused, 503, "storage-unavailable")


def answer(status: str, content_type: str, body: bytes) -> bytes:
    """Write the last answer of a connection: parts of the real one may follow it."""
    fields = (f"Content-Type: {content_type}", f"Content-Length: {len(body)}", "Connection: close")
    return "\r\n".join((f"HTTP/1.1 {status}", *fields, "", "")).encode() + body


def error(code: str, more: str = "") -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code>{more}</Error>".encode()


def once(
    change: Callable[[bytes], bytes], matches: Callable[[bytes], object]
) -> Callable[[bytes], bytes]:
    """Change the first of what matches."""
    is_done = False

    def alter(passing: bytes) -> bytes:
        nonlocal is_done
        if is_done or not matches(passing):
            return passing
        is_done = True
        return change(passing)

    return alter


HTML = b"<html><body><h1>Sign in</h1></body></html>"
REGION = error("AuthorizationHeaderMalformed", "<Region>eu-north-1</Region>")


@pytest.mark.parametrize(
    ("altered", "sentence"),
    [
        (answer("200 OK", "text/html", HTML), "a proxy or another program"),
        (answer("403 Forbidden", "text/html", HTML), "a proxy or another program answers there"),
        (answer("404 Not Found", "text/html", HTML), "a proxy or another program answers there"),
        (answer("302 Found", "text/html", HTML), "a proxy or another program answers there"),
        (answer("400 Bad Request", "application/xml", REGION), "region=eu-north-1"),
    ],
    ids=["HTML 200", "HTML 403", "HTML 404", "HTML 302", "region"],
)
async def test_an_answer_that_is_none_of_the_store_is_answered_503_and_the_log_says_whose(
    host: S3Host, altered: bytes, sentence: str, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await host.store(JPEG)
    host.relay.alter = partial(instead, altered)
    await assert_unavailable(host, image_id)
    assert sentence in caplog.text
    host.relay.alter = bytes
    assert (await host.get(image_id)).content == JPEG
    await host.repair()
    await host.assert_keeps(JPEG)


async def test_a_wrong_clock_is_answered_503_and_the_log_says_by_how_much(
    host: S3Host, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await host.store(JPEG)
    host.relay.alter_request = lambda request: DATE.sub(rb"\g<1>20260101T000000Z", request)
    await assert_unavailable(host, image_id)
    assert "the clock of this machine is" in caplog.text
    host.relay.alter_request = bytes
    await host.assert_keeps(JPEG)


async def test_an_upload_survives_a_connection_that_is_cut_in_the_middle_of_a_body(
    host: S3Host,
) -> None:
    def cut(request: bytes) -> bytes:
        host.relay.cut()
        return request

    for content in (JPEG, LARGE):
        host.relay.alter_request = once(cut, lambda passing: b"PUT " not in passing)
        assert (await host.upload(content)).status_code == 201
    await host.assert_keeps(JPEG, LARGE)


async def test_an_upload_whose_connections_are_all_cut_is_answered_503_and_leaves_no_image(
    host: S3Host,
) -> None:
    await host.store(JPEG)
    host.relay.is_broken = True
    host.relay.cut()
    with impatient():
        for content in (JPEG, LARGE):
            assert_problem(await host.upload(content), 503, "storage-unavailable")
    host.relay.is_broken = False
    await host.assert_keeps(JPEG)


async def test_an_upload_whose_answer_is_lost_is_stored_once(host: S3Host) -> None:
    def lose(_answer: bytes) -> bytes:
        host.relay.cut()
        return b""

    for content, lost in ((JPEG, b"200 OK"), (LARGE, b"CompleteMultipartUploadResult")):
        host.relay.alter = once(lose, partial(contains, lost))
        assert (await host.upload(content)).status_code == 201
    await host.assert_keeps(JPEG, LARGE)


async def test_a_download_that_is_cut_never_looks_whole(host: S3Host) -> None:
    image_id = await host.store(LARGE)

    def cut(passing: bytes) -> bytes:
        host.relay.cut()
        return passing

    host.relay.alter = once(cut, lambda passing: b"HTTP/1.1" not in passing)
    try:
        content = (await host.get(image_id)).content
    except httpx.TransportError:
        content = LARGE
    assert content == LARGE
    assert (await host.get(image_id)).content == LARGE


async def test_an_error_inside_of_a_complete_that_was_carried_out_is_found_to_be_none(
    host: S3Host,
) -> None:
    inside = answer("200 OK", "application/xml", error("InternalError"))
    host.relay.alter = once(lambda _: inside, lambda passing: b"CompleteMultipart" in passing)
    assert (await host.upload(LARGE)).status_code == 201
    await host.assert_keeps(LARGE)


async def test_an_error_inside_of_a_complete_that_was_not_carried_out_leaves_nothing(
    host: S3Host,
) -> None:
    refused = 0

    def misspell(request: bytes) -> bytes:
        nonlocal refused
        if not COMPLETE.match(request):
            return request
        refused += 1
        return request.replace(b"?uploadId=", b"?uploadid=", 1)

    inside = answer("200 OK", "application/xml", error("InternalError"))
    host.relay.alter_request = misspell
    host.relay.alter = lambda passing: inside if b"SignatureDoesNotMatch" in passing else passing
    with impatient():
        assert_problem(await host.upload(LARGE), 503, "storage-unavailable")
    assert refused > 0
    host.relay.alter_request = host.relay.alter = bytes
    await host.assert_keeps()
    assert (await host.upload(LARGE)).status_code == 201
    await host.assert_keeps(LARGE)
