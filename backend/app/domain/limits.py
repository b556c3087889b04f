"""How much one request, and one address, may add."""

from datetime import timedelta
from ipaddress import IPv4Address, IPv6Address
from typing import Final, NamedTuple

from app.domain.ip_address import IpAddress

QUOTA_PERIOD: Final = timedelta(hours=1)
INTERFACE_BITS: Final = (1 << 64) - 1
"""The bits of an IPv6 address that do not distinguish subscribers (RFC 6177)."""


class UploadLimits(NamedTuple):
    """How much one request, or one address, may add."""

    max_upload_bytes: int
    batch_max_files: int
    uploads_per_hour_per_ip: int
    """0 = unlimited."""


class StorageUse(NamedTuple):
    """What the images of a user are in all, and may be."""

    quota_bytes: int | None
    """None = unlimited, as for images."""
    quota_images: int | None
    used_bytes: int
    used_images: int


def subscriber_of(address: IpAddress) -> IpAddress:
    """Return the first of the addresses that share one quota: of IPv6 a /64, of IPv4 itself."""
    if isinstance(address, IPv4Address):
        return address
    return IPv6Address(int(address) & ~INTERFACE_BITS)


def last_address_of(subscriber: IpAddress) -> IpAddress:
    """Return the last of the addresses that share one quota."""
    return subscriber if isinstance(subscriber, IPv4Address) else subscriber + INTERFACE_BITS
