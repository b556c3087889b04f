"""Who sent a request, and by which scheme: what the socket says, or a trusted proxy (ADR 22).

A proxy appends to X-Forwarded-For the address that it was called from. So the list is read from
its end, and believed as far as trusted proxies wrote it. uvicorn's own middleware does the same,
but does not recognise an IPv4 proxy on a dual-stack socket, and takes anything for an address.
"""

from collections.abc import Sequence
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network
from typing import Final, NamedTuple

from starlette.types import ASGIApp, Receive, Scope, Send

from app.domain.ip_address import IpAddress, parse_address

IS_FORWARDED: Final = "image_host.is_forwarded"
"""Key of a scope: whether the request came through a trusted proxy."""

_SCHEMES: Final = ("http", "https")
_LONGEST: Final = 100
"""Characters of an address with its scope and port; longer entries are not parsed or cached."""
_IPV4: Final = int(IPv6Address("::ffff:0.0.0.0"))
"""Where IPv6 has the addresses of IPv4 (RFC 4291, section 2.5.5.2)."""


class ProxyHeaders:
    """Middleware that sets `client` and `scheme` of a request to what trusted proxies say.

    Args:
        app: The application behind it.
        trusted: The proxies' addresses and networks.
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[IPv4Network | IPv6Network]) -> None:
        self._app = app
        self._trusted = _as_ipv6_networks(trusted)
        self._cached_hop = lru_cache(4096)(self._hop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http" and (client := scope.get("client")):
            hop = self._cached_hop(client[0])
            if hop and hop.is_trusted:
                scope[IS_FORWARDED] = True
                hop = self._first_hop(hop, _values(scope, b"x-forwarded-for"))
                scope["scheme"] = _scheme(scope) or scope["scheme"]
            if hop and hop.address != client[0]:
                scope["client"] = (hop.address, client[1])
        await self._app(scope, receive, send)

    def _first_hop(self, proxy: "_Hop", forwarded: list[str]) -> "_Hop":
        """Return the client, or the first proxy before which no address is named."""
        hop = proxy
        for node in reversed(forwarded):
            caller = self._cached_hop(node) if len(node) <= _LONGEST else None
            if caller is None:
                break
            hop = caller
            if not hop.is_trusted:
                break
        return hop

    def _hop(self, text: str) -> "_Hop | None":
        address = parse_address(text)
        if address is None:
            return None
        return _Hop(str(address), any(_as_ipv6(address) in net for net in self._trusted))


class _Hop(NamedTuple):
    """A proxy, or the client."""

    address: str
    is_trusted: bool


def is_trusted(client: str, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    """Return whether an address is that of a trusted proxy; `ProxyHeaders` is faster at it."""
    address = parse_address(client)
    networks = _as_ipv6_networks(trusted)
    return address is not None and any(_as_ipv6(address) in net for net in networks)


def _as_ipv6_networks(networks: Sequence[IPv4Network | IPv6Network]) -> list[IPv6Network]:
    return [
        IPv6Network((_as_ipv6(net.network_address), 128 - net.max_prefixlen + net.prefixlen))
        for net in networks
    ]


def _as_ipv6(address: IpAddress) -> IPv6Address:
    return IPv6Address(int(address) | (_IPV4 if address.version == 4 else 0))  # noqa: PLR2004


def _scheme(scope: Scope) -> str | None:
    """Return what the first proxy saw, which is what the client used."""
    first = next(iter(_values(scope, b"x-forwarded-proto")), "").strip().lower()
    return first if first in _SCHEMES else None


def _values(scope: Scope, name: bytes) -> list[str]:
    """Return the list in a header field, over all its lines."""
    lines = [value for field, value in scope["headers"] if field == name]
    return b",".join(lines).decode("latin-1").split(",") if lines else []
