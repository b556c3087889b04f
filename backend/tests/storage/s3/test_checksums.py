"""Bytes that change on their way: the store compares an MD5 with them, or the SHA-256 we have."""

import re
from collections.abc import Callable
from hashlib import sha256

import pytest

from app.config.storage_url import parse_storage_url
from app.domain.errors import ObjectNotFound, StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3 import calls
from app.storage.s3.backend import S3Storage
from app.storage.s3.budget import PART
from app.storage.s3.client import S3Client
from app.storage.s3.credentials import Credentials
from app.storage.s3.signing import PAYLOAD
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.relay import Relay, instead
from testkit.storages import put

pytestmark = needs_ceph

KEY = "0" * 32 + ".jpg"
PROBE = ".image-host-check"
CONTENT = b"bytes of an image"
CHECKSUM = sha256(CONTENT).digest()
Far = tuple[S3Client, Relay]

# The last answers of their connections: parts of the real ones may follow them.
ACCEPTED = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n'
REFUSED = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Length: 42\r\nConnection: close\r\n\r\n"
    b"<Error><Code>InvalidRequest</Code></Error>"
)


def sent_by(relay: Relay) -> list[bytes]:
    """Keep the heads of the requests that pass from now on."""
    heads: list[bytes] = []

    def keep(passing: bytes) -> bytes:
        if b" HTTP/1.1\r\n" in passing:
            heads.append(passing.partition(b"\r\n\r\n")[0].lower())
        return passing

    relay.alter_request = keep
    return heads


def answered(*answers: bytes) -> Callable[[bytes], bytes]:
    """Replace the first answers; empty = it passes."""
    left = iter(answers)
    current = b""

    def alter(passing: bytes) -> bytes:
        nonlocal current
        if passing.startswith(b"HTTP/1.1 "):
            current = next(left, b"")
        return instead(current, passing) if current else passing

    return alter


async def write(client: S3Client) -> None:
    await client.put_object(KEY, [CONTENT], "image/jpeg", CHECKSUM)


@pytest.mark.parametrize(
    ("is_probed", "code"), [(False, "BadDigest"), (True, "XAmzContentSHA256Mismatch")]
)
async def test_bytes_that_change_on_their_way_are_refused_and_sent_again(
    far: Far, monkeypatch: pytest.MonkeyPatch, *, is_probed: bool, code: str
) -> None:
    client, relay = far
    if is_probed:
        await client.probe_sha256(PROBE)
    relay.alter_request = lambda passing: passing.replace(CONTENT, CONTENT.upper())
    with monkeypatch.context() as patch:
        patch.setattr(calls, "RETRY_SECONDS", 0.0)
        with pytest.raises(StorageUnavailable) as failed:
            await write(client)
    assert f"{code} (400); the bytes were changed" in reason(failed.value)
    with pytest.raises(ObjectNotFound):
        await client.head_object(KEY)

    def change_once(passing: bytes) -> bytes:
        if CONTENT not in passing:
            return passing
        relay.alter_request = bytes
        return passing.replace(CONTENT, CONTENT.upper())

    relay.alter_request = change_once
    await write(client)
    body = await client.get_object(KEY)
    assert await body.read() == CONTENT
    await body.close()


async def test_a_store_that_compares_a_sha256_is_sent_that_of_the_upload_alone(far: Far) -> None:
    client, relay = far
    await client.probe_sha256(PROBE)
    heads = sent_by(relay)
    await write(client)
    (head,) = heads
    assert f"{PAYLOAD}: {CHECKSUM.hex()}".encode() in head
    assert b"content-md5" not in head


@pytest.mark.parametrize(
    "answers",
    [(ACCEPTED,), (REFUSED,), (b"", REFUSED)],
    ids=["a wrong one is accepted", "refused for another reason", "the right one is refused"],
)
async def test_a_store_that_may_not_compare_a_sha256_is_sent_an_md5(
    far: Far, answers: tuple[bytes, ...]
) -> None:
    client, relay = far
    relay.alter = answered(*answers)
    await client.probe_sha256(PROBE)
    heads = sent_by(relay)
    await write(client)
    (head,) = heads
    assert b"content-md5" in head
    assert b"unsigned-payload" in head


@pytest.mark.parametrize("sizes", [[5], [PART, 5]], ids=["one request", "in parts"])
async def test_a_storage_finds_out_what_its_store_compares(
    ceph: Ceph, bucket: str, relay: tuple[str, Relay], sizes: list[int]
) -> None:
    address, through = relay
    location = parse_storage_url(f"s3://{bucket}/?endpoint={address}")
    storage = S3Storage(location, Credentials(ceph.access_key, ceph.secret_key))
    heads = sent_by(through)
    await put(storage, KEY, bytes(sum(sizes)))
    signed = [
        re.findall(rf"{PAYLOAD}: (\S+)".encode(), head)[0].decode()
        for head in heads
        if head.startswith(b"put ") and KEY.encode() in head
    ]
    assert signed == [sha256(bytes(size)).hexdigest() for size in sizes]
    await storage.close()
