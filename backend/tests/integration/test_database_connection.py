"""One connection: where it leads to, what it may read on the way, and that it notices its loss."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.config.database_url import parse_database_url
from app.database.connection import open_connection
from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.databases import select_one
from testkit.programs import needs_openssl
from testkit.tls import in_front_of, make_certificate

BACKEND = Path(__file__).parents[2]
USER_WITHOUT_A_NAME = 54_321

# The first question has everything loaded that only root may read.
ASK_AS_ANOTHER_USER = f"""
import asyncio, os, sys
from testkit.databases import select_one
from app.database.engine import Database

async def ask():
    database = Database(sys.argv[1])
    print(await select_one(database))
    await database.close()

asyncio.run(ask())
os.environ.pop("HOME")
os.environ.update(item.split("=") for item in sys.argv[2:])
if not os.getuid():
    os.seteuid({USER_WITHOUT_A_NAME})
asyncio.run(ask())
"""


@pytest.fixture
def tcp(proxy: DatabaseProxy) -> URL:
    """Give the address of the database over TCP."""
    return proxy.url


def text_of(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


async def assert_leads_to_the_database(url: str) -> None:
    database = Database(url)
    assert await select_one(database) == 1
    await database.close()


def ask_as_another_user(url: URL, *environment: str) -> subprocess.CompletedProcess[str]:
    """Connect with nothing else to read than what belongs to somebody else."""
    return subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", ASK_AS_ANOTHER_USER, text_of(url), *environment],
        capture_output=True,
        text=True,
        check=False,
        cwd=BACKEND,
        env=os.environ | {"HOME": "/nonexistent"},
    )


@pytest.mark.parametrize("mode", ["", "disable", "allow", "prefer"])
@pytest.mark.parametrize(
    "closed",
    [".", ".postgresql", ".postgresql/postgresql.crt", ".postgresql/postgresql.key", ".pgpass"],
)
def test_unreadable_certificates_in_home_are_ignored(
    tcp: URL, tmp_path: Path, closed: str, mode: str
) -> None:
    """As where the service runs with sudo, and HOME is still that of who typed it."""
    (tmp_path / ".postgresql").mkdir()
    for name in ("postgresql.crt", "postgresql.key"):
        (tmp_path / ".postgresql" / name).touch()
    (tmp_path / ".pgpass").touch()
    (tmp_path / closed).chmod(0)
    url = tcp.update_query_dict({"sslmode": mode}) if mode else tcp
    asked = ask_as_another_user(url, f"HOME={tmp_path}")
    (tmp_path / closed).chmod(0o700)
    assert asked.stdout == "1\n1\n", asked.stderr


def test_a_user_without_home_and_name_connects(tcp: URL) -> None:
    asked = ask_as_another_user(tcp)
    assert asked.stdout == "1\n1\n", asked.stderr


def test_unreadable_certificates_are_an_error_where_the_server_is_verified(
    tcp: URL, tmp_path: Path
) -> None:
    (tmp_path / ".postgresql").mkdir(mode=0)
    asked = ask_as_another_user(tcp, "PGSSLMODE=verify-full", f"HOME={tmp_path}")
    assert asked.stdout == "1\n"
    assert "sslmode=verify-full needs a certificate in ~/.postgresql" in asked.stderr


@pytest.mark.parametrize(
    "query", ["sslmode=disable", "sslmode=prefer&channel_binding=prefer", "connect_timeout=9"]
)
async def test_the_parameters_of_hosted_databases_are_understood(tcp: URL, query: str) -> None:
    await assert_leads_to_the_database(f"{text_of(tcp)}?{query}")


async def test_a_server_without_tls_is_refused_where_tls_is_required(tcp: URL) -> None:
    with pytest.raises(DatabaseUnavailable) as refused:
        await assert_leads_to_the_database(
            f"{text_of(tcp)}?sslmode=require&channel_binding=require"
        )
    assert "rejected SSL upgrade" in refused.value.reason


@needs_openssl
async def test_a_server_whose_authority_the_system_trusts_is_verified(
    tcp: URL, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As hosted databases are, without a file of certificates: libpq's `sslrootcert=system`."""
    certificate, key = make_certificate(tmp_path)
    with in_front_of(tcp.port or 0, certificate, key, asked_for=True) as port:
        url = f"{text_of(tcp.set(host='localhost', port=port))}?sslrootcert=system"
        with pytest.raises(DatabaseUnavailable) as refused:
            await assert_leads_to_the_database(url)
        assert "certificate verify failed" in refused.value.reason
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        await assert_leads_to_the_database(url)
        with pytest.raises(DatabaseUnavailable) as refused:
            await assert_leads_to_the_database(url.replace("localhost", "127.0.0.1"))
        assert "doesn't match" in refused.value.reason or "not valid" in refused.value.reason


async def test_settings_for_the_server_reach_it(tcp: URL) -> None:
    query = "application_name=image%20host&options=-c%20statement_timeout%3D3s"
    database = Database(f"{text_of(tcp)}?{query}")
    async with database.read() as session:
        asked = text("SELECT current_setting(:name)")
        for name, value in {"application_name": "image host", "statement_timeout": "3s"}.items():
            assert await session.scalar(asked, {"name": name}) == value
    await database.close()


async def test_the_folder_of_a_socket_may_be_given_as_host(database_url: URL) -> None:
    folder = database_url.query.get("host")
    if not folder:
        pytest.skip("TEST_DATABASE_URL leads over TCP")
    quoted = str(folder).replace("/", "%2F")
    name = database_url.database
    for url in (
        f"postgresql://{database_url.username}@{quoted}/{name}",
        f"postgresql://{database_url.username}@{quoted}:5432/{name}",
        f"postgresql://{database_url.username}@/{name}?host={folder}",
        f"postgresql:///{name}?host={folder}&port=5432&application_name=x",
    ):
        address = url if "@" in url else url.replace("///", f"//{database_url.username}@/")
        await assert_leads_to_the_database(address)


async def test_of_several_hosts_the_first_that_answers_is_taken(tcp: URL) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        silent = listener.getsockname()[1]
        hosts = f"127.0.0.1:{lasting_port()},127.0.0.1:{silent},127.0.0.1:{tcp.port}"
        await assert_leads_to_the_database(
            f"postgresql://{tcp.username}@{hosts}/{tcp.database}"
            "?target_session_attrs=read-write&connect_timeout=3"
        )


async def test_the_system_notices_a_connection_that_the_network_dropped(tcp: URL) -> None:
    connection = await open_connection(parse_database_url(text_of(tcp)), 30, None)
    sock = connection._transport.get_extra_info("socket")
    assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
    if sys.platform == "linux":
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) <= 60
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) <= 60_000
    await connection.close()
