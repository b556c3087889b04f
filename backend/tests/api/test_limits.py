"""The limits can be asked for, and the errors about them name them."""

import asyncio
from collections.abc import AsyncIterator, Callable
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest

from app.api.middleware.request_body import FORM_ALLOWANCE
from testkit import samples
from testkit.asgi import CLIENT, OpenClient
from testkit.forms import CONTENT_TYPE, form, part, split
from testkit.problems import assert_problem
from testkit.settings import MAX_UPLOAD_BYTES

UPLOAD = "/api/v1/images/upload"
BATCH = "/api/v1/images/batch"
JPEG = samples.jpeg()
StoredFiles = Callable[[], list[Path]]


async def upload(client: httpx.AsyncClient, forwarded_for: str = "") -> httpx.Response:
    headers = {"x-forwarded-for": forwarded_for} if forwarded_for else {}
    return await client.post(UPLOAD, files={"file": JPEG}, headers=headers)


def limit_of(response: httpx.Response) -> tuple[str, int, int]:
    body = response.json()
    return body["limit"], body["allowed"], body["actual"]


@pytest.mark.parametrize(("quota", "shown"), [(0, None), (100, 100)])
async def test_the_limits_can_be_asked_for(
    open_client: OpenClient, quota: int, shown: int | None
) -> None:
    async with open_client(uploads_per_hour_per_ip=quota, batch_max_files=7) as client:
        response = await client.get("/api/v1/limits")
    assert response.json() == {
        "access": "open",
        "accepted_types": [
            "image/jpeg",
            "image/png",
            "image/gif",
            "image/webp",
            "image/avif",
            "image/heic",
        ],
        "max_upload_bytes": MAX_UPLOAD_BYTES,
        "batch_max_files": 7,
        "uploads_per_hour": shown,
        "thumbnail_sizes": [150, 300, 800],
    }


async def test_a_file_too_large_is_refused_with_the_limit_and_what_was_counted(
    client: httpx.AsyncClient,
) -> None:
    response = await client.post(UPLOAD, files={"file": samples.sized_jpeg(MAX_UPLOAD_BYTES + 1)})
    assert_problem(response, 413, "file-too-large")
    assert limit_of(response) == ("max_upload_bytes", MAX_UPLOAD_BYTES, MAX_UPLOAD_BYTES + 1)


async def test_a_declared_body_too_large_is_refused_with_its_declared_size(
    client: httpx.AsyncClient,
) -> None:
    cap = MAX_UPLOAD_BYTES + FORM_ALLOWANCE
    headers = {"content-type": CONTENT_TYPE, "content-length": str(cap + 1)}
    response = await client.post(UPLOAD, content=b"", headers=headers)
    assert_problem(response, 413, "body-too-large")
    assert limit_of(response) == ("max_body_bytes", cap, cap + 1)


async def test_a_body_of_unknown_length_is_refused_with_what_had_arrived(
    client: httpx.AsyncClient,
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for piece in split(form(part(JPEG), part(bytes(MAX_UPLOAD_BYTES * 2), "other")), 50_000):
            yield piece

    response = await client.post(UPLOAD, content=body(), headers={"content-type": CONTENT_TYPE})
    assert_problem(response, 413, "body-too-large")
    name, allowed, actual = limit_of(response)
    assert (name, allowed) == ("max_body_bytes", MAX_UPLOAD_BYTES + FORM_ALLOWANCE)
    assert allowed < actual <= allowed + 50_000


async def test_too_many_files_are_refused_with_the_limit_and_what_was_counted(
    open_client: OpenClient,
) -> None:
    async with open_client(batch_max_files=2) as client:
        response = await client.post(BATCH, files=[("files", JPEG)] * 5)
    assert_problem(response, 400, "too-many-files")
    assert limit_of(response) == ("batch_max_files", 2, 3)


async def test_an_exceeded_quota_is_answered_with_the_limit_and_the_use(
    open_client: OpenClient,
) -> None:
    async with open_client(uploads_per_hour_per_ip=2) as client:
        await upload(client)
        await upload(client)
        response = await upload(client)
    assert_problem(response, 429, "quota-exceeded")
    assert limit_of(response) == ("uploads_per_hour", 2, 2)


@pytest.mark.parametrize("url", [UPLOAD, BATCH])
@pytest.mark.parametrize("key", [{}, {"idempotency-key": "new"}], ids=["no key", "a new key"])
async def test_a_used_up_quota_is_answered_before_anything_of_the_body_is_asked_for(
    open_client: OpenClient, url: str, key: dict[str, str]
) -> None:
    asked = []

    async def body() -> AsyncIterator[bytes]:
        asked.append(url)
        yield b""

    head = {"content-type": CONTENT_TYPE, "content-length": "99999", "expect": "100-continue"}
    async with open_client(uploads_per_hour_per_ip=1) as client:
        await upload(client)
        for _ in range(2):
            response = await client.post(url, content=body(), headers=head | key)
            assert_problem(response, 429, "quota-exceeded")
    assert not asked


@pytest.mark.parametrize("quota", [1, 20])
async def test_not_one_image_more_than_the_quota_is_stored_by_50_requests_at_once(
    open_client: OpenClient, stored_files: StoredFiles, quota: int
) -> None:
    async with open_client(uploads_per_hour_per_ip=quota) as client:
        responses = await asyncio.gather(*(upload(client) for _ in range(50)))
        listed = (await client.get("/api/v1/images?limit=100")).json()["items"]
    refused = [response for response in responses if response.status_code != 201]
    assert len(responses) - len(refused) == len(listed) == len(stored_files()) == quota
    for response in refused:
        assert_problem(response, 429, "quota-exceeded")
        assert response.headers["ratelimit-policy"] == f'"uploads";q={quota};w=3600'
        assert response.headers["ratelimit"].startswith('"uploads";r=0;t=')


async def test_a_quota_is_shared_by_all_addresses_of_an_ipv6_subscriber(
    open_client: OpenClient,
) -> None:
    async def status(address: str) -> int:
        async with open_client(client=address, uploads_per_hour_per_ip=1) as client:
            return (await upload(client)).status_code

    assert await status("2001:db8:0:1::1") == 201
    assert await status("2001:db8:0:1:ffff:ffff:ffff:ffff") == 429
    assert await status("2001:db8:0:2::1") == 201
    assert await status("::ffff:192.0.2.99") == 201
    assert await status("192.0.2.99") == 429, "an IPv4 address, however the system writes it"


async def test_an_untrusted_client_cannot_escape_its_quota_by_forwarding_headers(
    open_client: OpenClient,
) -> None:
    trusted = (ip_network("203.0.113.0/24"),)
    async with open_client(uploads_per_hour_per_ip=1, trusted_proxies=trusted) as client:
        assert (await upload(client)).status_code == 201
        for number in range(3):
            assert (await upload(client, f"198.51.100.{number}")).status_code == 429


async def test_behind_a_trusted_proxy_the_last_untrusted_address_counts(
    open_client: OpenClient,
) -> None:
    trusted = (ip_network("192.0.2.0/24"),)
    async with open_client(uploads_per_hour_per_ip=1, trusted_proxies=trusted) as client:
        assert (await upload(client, "198.51.100.1")).status_code == 201
        assert (await upload(client, "198.51.100.2")).status_code == 201
        # What stands further left was written by the client itself.
        assert (await upload(client, "10.9.8.7, 198.51.100.1")).status_code == 429
        assert (await upload(client, f"198.51.100.1, {CLIENT}")).status_code == 429
