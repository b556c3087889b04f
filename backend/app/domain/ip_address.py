"""IP addresses, and how they are written."""

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final

IpAddress = IPv4Address | IPv6Address

_WITH_PORT: Final = re.compile(r"\[(.*)\](?::\w*)?|([^:]*):\w*")


def parse_address(text: str) -> IpAddress | None:
    """Return an IP address, written with or without quotes, brackets and a port, or None.

    An address of IPv4 is one however it is written, and a scope (`%eth0`) is no part of an address.
    """
    text = text.strip(' \t"')
    found = _WITH_PORT.fullmatch(text)
    try:
        address = ip_address((found[1] or found[2]) if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        address = IPv6Address(int(address))
        return address.ipv4_mapped or address
    return address
