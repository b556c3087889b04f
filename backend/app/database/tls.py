"""TLS to the database, with libpq's parameters and defaults."""

import os
import ssl
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import urlencode

import asyncpg
from asyncpg import InvalidAuthorizationSpecificationError

from app.config.database_url import SYSTEM_AUTHORITIES

_FILES: Final = {"sslrootcert", "sslcert", "sslkey", "sslcrl"}


async def connect_with_tls(arguments: dict[str, Any], tls: Mapping[str, str]) -> Any:  # noqa: ANN401 - as the driver
    """Connect with the TLS parameters of the address, the environment and `~/.postgresql`.

    Where HOME is another user's, that folder cannot be read, and counts as empty.

    Args:
        arguments: For the driver.
        tls: libpq's `ssl…` parameters of the address.

    Raises:
        ValueError: If a file that a parameter names cannot be read.
    """
    has_system_authorities = tls.get("sslrootcert") == SYSTEM_AUTHORITIES
    for name in (_FILES - {"sslrootcert"} if has_system_authorities else _FILES) & tls.keys():
        if not os.access(tls[name], os.R_OK):
            raise ValueError(f"{name} names {tls[name]}, which cannot be read")
    if has_system_authorities:  # libpq's value, which the driver does not know
        return await asyncpg.connect(**arguments, ssl=_context_without_home(tls))
    dsn = f"postgresql://?{urlencode(tls)}"
    try:
        return await asyncpg.connect(dsn, **arguments)
    except PermissionError:
        context = _context_without_home(tls)
    mode = _from_libpq("sslmode", tls) or "prefer"
    try:
        return await asyncpg.connect(dsn, **arguments, ssl=mode != "allow" and context)
    except (ConnectionError, InvalidAuthorizationSpecificationError):
        if mode not in {"allow", "prefer"}:
            raise
        return await asyncpg.connect(dsn, **arguments, ssl=mode == "allow" and context)


def _context_without_home(tls: Mapping[str, str]) -> ssl.SSLContext:
    """Make the context that the driver makes of libpq's parameters, without `~/.postgresql`."""
    mode = _from_libpq("sslmode", tls) or "prefer"
    authority = _from_libpq("sslrootcert", tls)
    if mode.startswith("verify") and not authority:
        raise ValueError(
            f"sslmode={mode} needs a certificate in ~/.postgresql, which cannot be read; "
            "name one with sslrootcert"
        )
    is_file = authority != SYSTEM_AUTHORITIES
    context = ssl.create_default_context(cafile=authority if is_file else None)
    context.check_hostname = mode == "verify-full"
    if not authority or mode in {"allow", "prefer"}:
        context.verify_mode = ssl.CERT_NONE
    if revoked := _from_libpq("sslcrl", tls):
        context.load_verify_locations(revoked)
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_CHAIN
    if certificate := _from_libpq("sslcert", tls):
        context.load_cert_chain(certificate, _from_libpq("sslkey", tls))
    context.set_alpn_protocols(["postgresql"])
    return context


def _from_libpq(name: str, tls: Mapping[str, str]) -> str | None:
    return tls.get(name) or os.environ.get(f"PG{name.upper()}") or None
