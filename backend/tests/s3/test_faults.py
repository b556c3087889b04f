"""A store that is away, hangs, is full or refuses: what the client gets, and what is left."""

import asyncio
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from testkit import samples
from testkit.ceph import Ceph, running_ceph
from testkit.live import TIMEOUT, until
from testkit.problems import assert_problem
from testkit.programs import needs_ceph
from testkit.s3_host import OpenS3Host, S3Host, impatient, s3_hosting

pytestmark = needs_ceph

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(20 * 1024 * 1024)
"""One of several parts."""


@pytest.fixture(scope="module")
def durable_ceph(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ceph]:
    """Run a store whose objects outlive its processes."""
    with running_ceph(tmp_path_factory.mktemp("durable"), "bluestore") as ceph:
        yield ceph


async def assert_unavailable(host: S3Host, image_id: str) -> None:
    """Check that the service says so to everybody, and nobody what is behind it."""
    with impatient():
        ready = host.client.get("/health/ready")
        answers = await asyncio.gather(
            host.upload(JPEG), host.upload(LARGE), host.get(image_id), ready
        )
    for answer in answers[:3]:
        assert_problem(answer, 503, "storage-unavailable")
    assert_problem(answers[3], 503, "not-ready")
    for answer in answers:
        for inside in (host.bucket, host.ceph.access_key, "127.0.0.1", "NoSuch"):
            assert inside not in answer.text


async def assert_recovers(host: S3Host, image_id: str) -> None:
    """Check that all is well without anybody's doing, and that nothing was lost or invented."""
    assert (await host.get(image_id)).content == JPEG
    for content in (JPEG, LARGE):
        async with asyncio.timeout(4 * TIMEOUT):  # an OSD that is back may hang once more
            while (answer := await host.upload(content)).status_code == 503:
                await host.repair()
        assert answer.status_code == 201
    assert await host.is_ready_soon()
    await host.assert_keeps(JPEG, JPEG, LARGE)


async def test_a_killed_gateway_is_answered_503_until_it_is_there_again(
    host: S3Host, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await host.store(JPEG)
    host.ceph.gateway.kill()
    try:
        await assert_unavailable(host, image_id)
    finally:
        host.ceph.start_gateway()
    assert f"s3://{host.bucket}/ at http://127.0.0.1:" in caplog.text
    await assert_recovers(host, image_id)


async def test_a_gateway_that_restarts_is_waited_for(host: S3Host) -> None:
    image_id = await host.store(JPEG)
    host.ceph.gateway.kill()
    accepted = host.relay.accepted
    uploads = [asyncio.create_task(host.upload(content)) for content in (JPEG, LARGE)]
    download = asyncio.create_task(host.get(image_id))
    await until(lambda: host.relay.accepted > accepted)
    # Meanwhile the network refuses: what it kept, the gateway would do when nobody waits for it.
    await asyncio.to_thread(host.ceph.start_gateway)
    assert [(await upload).status_code for upload in uploads] == [201, 201]
    assert (await download).content == JPEG
    await host.assert_keeps(JPEG, JPEG, LARGE)


async def test_a_gateway_that_hangs_is_answered_503_and_what_it_does_later_is_a_leftover(
    host: S3Host,
) -> None:
    image_id = await host.store(JPEG)
    with host.ceph.gateway.stopped():
        await assert_unavailable(host, image_id)
    await host.is_ready_soon()
    await host.repair()
    await assert_recovers(host, image_id)


async def test_a_killed_osd_loses_nothing_and_is_waited_for_with_a_deadline(
    database_url: URL, tmp_path: Path, durable_ceph: Ceph
) -> None:
    bucket = durable_ceph.make_bucket()
    async with s3_hosting(database_url, tmp_path, durable_ceph, bucket) as host:
        image_id = await host.store(JPEG)
        durable_ceph.osd.kill()
        try:
            await assert_unavailable(host, image_id)
        finally:
            durable_ceph.osd.start()
        await host.is_ready_soon()
        await host.repair()
        await assert_recovers(host, image_id)


async def test_a_full_bucket_is_answered_507_and_what_is_there_is_served_and_deleted(
    host: S3Host,
) -> None:
    image_id = await host.store(JPEG)
    host.ceph.limit(host.bucket, 1024)
    for content in (JPEG, LARGE):
        assert_problem(await host.upload(content), 507, "storage-full")
    assert (await host.get(image_id)).content == JPEG
    assert await host.ready() == 503
    assert (await host.delete(image_id)).status_code == 204
    await host.assert_keeps()
    host.ceph.limit(host.bucket, -1)
    await assert_recovers(host, await host.store(JPEG))


def with_keys(access_key: str, secret_key: str) -> dict[str, object]:
    return {"aws_access_key_id": access_key, "aws_secret_access_key": SecretStr(secret_key)}


def of_another_user(ceph: Ceph) -> dict[str, object]:
    keys = (secrets.token_hex(10), secrets.token_hex(20))
    ceph.add_user(secrets.token_hex(6), *keys)
    return with_keys(*keys)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda ceph: with_keys("another", ceph.secret_key),
            "InvalidAccessKeyId (403); the store does not know AWS_ACCESS_KEY_ID",
        ),
        (
            lambda ceph: with_keys(ceph.access_key, "another"),
            "(403); AWS_SECRET_ACCESS_KEY is not the secret of AWS_ACCESS_KEY_ID",
        ),
        (of_another_user, "AccessDenied (403); the key may not do that"),
        (
            lambda ceph: {"storage_url": ceph.url("no-such-bucket")},
            "NoSuchBucket (404); create the bucket, or correct STORAGE_URL",
        ),
    ],
    ids=["unknown key", "wrong secret", "no rights", "wrong bucket"],
)
async def test_a_store_that_refuses_is_answered_503_and_the_log_says_what_to_do(
    open_host: OpenS3Host,
    ceph: Ceph,
    change: Callable[[Ceph], dict[str, object]],
    sentence: str,
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with open_host() as host:
        image_id = await host.store(JPEG)
    async with open_host(**change(ceph)) as host:
        await assert_unavailable(host, image_id)
    assert sentence in caplog.text
    assert ceph.secret_key not in caplog.text
    async with open_host() as host:
        await assert_recovers(host, image_id)


async def test_a_bucket_that_is_removed_makes_no_image_missing(
    host: S3Host, caplog: pytest.LogCaptureFixture
) -> None:
    image_id = await host.store(JPEG)
    for key in host.ceph.keys(host.bucket):
        host.ceph.ask("DELETE", f"{host.bucket}/{key}")
    host.ceph.ask("DELETE", host.bucket)
    await assert_unavailable(host, image_id)
    assert "NoSuchBucket (404); create the bucket" in caplog.text
