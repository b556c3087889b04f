"""Who sent a request, as proxies report it (X-Forwarded-For and -Proto), and which to trust.

A quota of one shows who is taken for the same client.
"""

import logging
from ipaddress import ip_network

import httpx
import pytest
from starlette.types import Receive, Scope, Send

from app.api.middleware.proxy_headers import ProxyHeaders
from app.config.settings import Settings
from testkit import samples
from testkit.asgi import OpenClient

UPLOAD = "/api/v1/images/upload"
PROXY = "10.0.0.1"
JPEG = samples.jpeg()


async def seen(client: str | None, *fields: tuple[str, str], trusted: str = PROXY) -> Scope:
    """Return a request as the application sees it."""
    scope: Scope = {
        "type": "http",
        "scheme": "http",
        "client": client and (client, 50_000),
        "headers": [(name.lower().encode(), value.encode("latin-1")) for name, value in fields],
    }
    received: list[Scope] = []

    async def app(scope: Scope, _receive: Receive, _send: Send) -> None:
        received.append(scope)

    networks = Settings(trusted_proxies=trusted).trusted_proxies
    await ProxyHeaders(app, networks)(scope, None, None)  # type: ignore[arg-type]
    return received[0]


def forwarded_for(*lines: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-For", line) for line in lines]


def forwarded_proto(*lines: str) -> list[tuple[str, str]]:
    return [("X-Forwarded-Proto", line) for line in lines]


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        ("127.0.0.1", "127.0.0.1"),
        ("::ffff:127.0.0.1", "127.0.0.1"),
        ("::FFFF:7f00:1", "127.0.0.0/8"),
        ("127.0.0.1", "::ffff:127.0.0.1"),
        ("::ffff:127.0.0.1", "::ffff:127.0.0.0/104"),
        ("::ffff:10.1.2.3", "::/0"),
        ("10.1.2.3", "::/0"),
        ("::1", "::1"),
        ("0:0:0:0:0:0:0:1", "::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("fe80::1%eth0", "fe80::/10"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("fe80::1", "fe80::1%eth0"),
    ],
)
async def test_a_trusted_proxy_is_known_however_its_address_is_written(
    client: str, trusted: str
) -> None:
    fields = [*forwarded_for("198.51.100.7"), *forwarded_proto("https")]
    scope = await seen(client, *fields, trusted=trusted)
    assert (scope["client"][0], scope["scheme"]) == ("198.51.100.7", "https")


@pytest.mark.parametrize(
    ("client", "trusted"),
    [
        ("127.0.0.1", ""),
        ("127.0.0.2", "127.0.0.1"),
        ("::ffff:127.0.0.2", "127.0.0.1"),
        ("::127.0.0.1", "127.0.0.1"),
        ("::1", "127.0.0.1"),
        ("::1", "0.0.0.0/0"),
        ("fe80::2%eth0", "fe80::1"),
    ],
)
async def test_forwarding_headers_of_untrusted_clients_are_ignored(
    client: str, trusted: str
) -> None:
    fields = [*forwarded_for("198.51.100.7"), *forwarded_proto("https")]
    scope = await seen(client, *fields, trusted=trusted)
    assert scope["client"][0] != "198.51.100.7"
    assert scope["scheme"] == "http"


@pytest.mark.parametrize(
    ("forwarded", "client"),
    [
        (["192.0.2.1"], "192.0.2.1"),
        (["192.0.2.1:1234"], "192.0.2.1"),
        (['"192.0.2.1:1234"'], "192.0.2.1"),
        (["192.0.2.1:"], "192.0.2.1"),
        (["2001:DB8::1"], "2001:db8::1"),
        (["[2001:db8::1]"], "2001:db8::1"),
        (['"[2001:db8::1]:4711"'], "2001:db8::1"),
        (['"[2001:db8:0:0::1]"'], "2001:db8::1"),
        (["[fe80::7%eth0]:80"], "fe80::7"),
        (["::ffff:192.0.2.1"], "192.0.2.1"),
        (["[::ffff:192.0.2.1]:80"], "192.0.2.1"),
        (["::ffff:c000:201%3"], "192.0.2.1"),
        (["\t192.0.2.1 "], "192.0.2.1"),
        # A chain: what the last trusted proxy was called from; what stands before is hearsay.
        (["203.0.113.9, 192.0.2.1"], "192.0.2.1"),
        (["203.0.113.9,192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (["203.0.113.9, 192.0.2.1, ::ffff:10.0.0.1, [::ffff:10.0.0.1]:80"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1", "10.0.0.1"], "192.0.2.1"),
        (["203.0.113.9", "192.0.2.1, 10.0.0.1"], "192.0.2.1"),
        (["unknown, 192.0.2.1"], "192.0.2.1"),
        ([", 192.0.2.1"], "192.0.2.1"),
        (["10.0.0.1, 192.0.2.1"], "192.0.2.1"),
        # All of them proxies: the one that was called first.
        (["10.0.0.1, 10.0.0.1"], PROXY),
    ],
)
async def test_the_client_is_the_last_address_that_is_no_trusted_proxy(
    forwarded: list[str], client: str
) -> None:
    assert (await seen(PROXY, *forwarded_for(*forwarded)))["client"][0] == client


@pytest.mark.parametrize(
    "forwarded",
    [
        [],
        [""],
        [" "],
        [","],
        ["unknown"],
        ['"unknown"'],
        ["_hidden"],
        ["_SEVKISEK:_port"],
        ["unix:"],
        ["localhost"],
        ["example.org:80"],
        ["[]"],
        ["[]:80"],
        ["[2001:db8::1"],
        ["2001:db8::1]"],
        ["[192.0.2.1"],
        ["192.0.2"],
        ["192.0.2.256"],
        ["192.0.2.01"],
        ["3221225985"],
        ["192.0.2.1/32"],
        ["for=192.0.2.1"],
        ["192.0.2.1;10.0.0.1"],
        ["1" * 5000],
        ["\xff"],
        # The proxy did not say whom it was called from; what its client wrote is not taken for it.
        ["192.0.2.1, unknown"],
        ["192.0.2.1, "],
        ["192.0.2.1", ""],
        ["192.0.2.1, unknown, 10.0.0.1"],
    ],
)
async def test_where_no_address_is_forwarded_the_proxy_is_the_client(forwarded: list[str]) -> None:
    assert (await seen(PROXY, *forwarded_for(*forwarded)))["client"][0] == PROXY


@pytest.mark.parametrize(
    ("forwarded", "scheme"),
    [
        (["https"], "https"),
        (["http"], "http"),
        (["HTTPS"], "https"),
        ([" Https\t"], "https"),
        (["https,https"], "https"),
        (["https, http"], "https"),
        (["https , http, http"], "https"),
        (["http, https"], "http"),
        (["https", "http"], "https"),
        (["http", "https"], "http"),
        (["https, http", "http"], "https"),
        ([""], "http"),
        ([",https"], "http"),
        (["wss"], "http"),
        (["javascript"], "http"),
        (["https://"], "http"),
    ],
)
async def test_the_scheme_is_what_the_first_proxy_saw(forwarded: list[str], scheme: str) -> None:
    fields = [
        (name, value.encode().decode("latin-1")) for name, value in forwarded_proto(*forwarded)
    ]
    assert (await seen(PROXY, *fields))["scheme"] == scheme


async def test_a_client_of_a_dual_stack_socket_is_logged_by_its_own_address(
    open_client: OpenClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "app")
    async with open_client(client="::ffff:192.0.2.7") as client:
        await client.get("/health/live")
    assert [vars(line)["client"] for line in caplog.records if hasattr(line, "client")] == [
        "192.0.2.7"
    ]


@pytest.mark.parametrize("forwarded", ["unknown", "", "_hidden", "unix:", "\xff", "a" * 300])
async def test_clients_without_an_address_share_one_quota(
    open_client: OpenClient, forwarded: str
) -> None:
    trusted = (ip_network("192.0.2.7"),)

    async def status(client: httpx.AsyncClient, forwarded: str) -> int:
        headers = {"x-forwarded-for": forwarded.encode("latin-1")}
        answer = await client.post(UPLOAD, files={"file": JPEG}, headers=headers)  # type: ignore[arg-type]
        return answer.status_code

    async with open_client(uploads_per_hour_per_ip=1, trusted_proxies=trusted) as client:
        assert await status(client, forwarded) == 201
        assert await status(client, forwarded) == 429
        assert await status(client, "unknown") == 429
        assert await status(client, '"[2001:db8::1]:4711"') == 201, "another client"
        assert await status(client, '"[2001:db8::1]:4712"') == 429, "the same, from another port"


@pytest.mark.parametrize("client", ["", "testclient", "/run/socket"])
async def test_a_transport_without_addresses_has_a_quota_too(
    open_client: OpenClient, client: str
) -> None:
    async with open_client(client=client, uploads_per_hour_per_ip=1) as opened:
        assert (await opened.post(UPLOAD, files={"file": JPEG})).status_code == 201
        assert (await opened.post(UPLOAD, files={"file": JPEG})).status_code == 429
