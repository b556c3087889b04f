import asyncio
import logging
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from app.domain.errors import StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3 import credentials as module
from app.storage.s3.credentials import Credentials
from app.storage.s3.signing import Keys
from testkit.ceph import Ceph
from testkit.programs import needs_ceph
from testkit.relay import relaying
from testkit.storages import ConnectS3

PROGRAM = """
import json, pathlib
calls = pathlib.Path({calls!r})
count = int(calls.read_text()) + 1 if calls.exists() else 1
calls.write_text(str(count))
if count > {most}:
    raise SystemExit("no more keys")
print(json.dumps({{"Version": 1, "AccessKeyId": {access!r} or f"key-{{count}}",
    "SecretAccessKey": {secret!r}, "SessionToken": None, "Expiration": {expiration!r}}}))
"""


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Look for credentials in a folder that has none, and nowhere else."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    return tmp_path


def use_program(
    home: Path, most: int = 99, access: str = "", secret: str = "s", seconds: int = 60
) -> None:
    """Let credentials come from a program, and expire after some seconds."""
    program = home / "program.py"
    program.write_text(
        PROGRAM.format(
            calls=str(home / "calls"),
            most=most,
            access=access,
            secret=secret,
            expiration=(datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
        )
    )
    process = f"credential_process = {sys.executable} {program}\n"
    (home / "config").write_text(f"[default]\n{process}")


async def test_keys_of_the_settings_are_used_as_they_are() -> None:
    credentials = Credentials("access", "secret", "token")
    assert await credentials.get() == credentials.current == Keys("access", "secret", "token")


async def test_keys_are_found_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "access")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert await Credentials().get() == Keys("access", "secret", "token")


async def test_keys_are_found_in_the_file_of_the_tools(home: Path) -> None:
    (home / "credentials").write_text(
        "[default]\naws_access_key_id = access\naws_secret_access_key = secret\n"
    )
    assert await Credentials().get() == Keys("access", "secret")


async def test_a_profile_has_keys_of_its_own(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "usual")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "usual")
    (home / "credentials").write_text(
        "[previous]\naws_access_key_id = access\naws_secret_access_key = secret\n"
    )
    assert await Credentials(profile="previous").get() == Keys("access", "secret")
    with pytest.raises(StorageUnavailable) as unavailable:
        await Credentials(profile="unknown").get()
    assert "The config profile (unknown) could not be found" in reason(unavailable.value)


async def test_no_keys_are_said_in_one_sentence() -> None:
    with pytest.raises(StorageUnavailable) as unavailable:
        await Credentials().get()
    assert "there are no credentials: set AWS_ACCESS_KEY_ID" in reason(unavailable.value)


async def test_many_requests_look_for_keys_once(home: Path) -> None:
    use_program(home, seconds=3600)
    credentials = Credentials()
    keys = await asyncio.gather(*(credentials.get() for _ in range(20)))
    assert {key.access for key in keys} == {"key-1"}
    assert (await credentials.get()).access == "key-1"
    assert (home / "calls").read_text() == "1"


async def test_keys_are_renewed_as_they_run_out(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    use_program(home)
    credentials = Credentials()
    first = await credentials.get()
    assert await credentials.get() != first


async def test_keys_that_cannot_be_renewed_are_kept(
    home: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(module, "CHECK_SECONDS", 0.0)
    use_program(home, most=2)  # botocore asks twice for keys that expire in a minute
    credentials = Credentials()
    first = await credentials.get()
    with caplog.at_level(logging.WARNING):
        assert await credentials.get() == first
    assert "the credentials of the store cannot be renewed: " in caplog.text


async def test_a_program_that_hangs_is_waited_for_for_so_long(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "FIND_SECONDS", 0.1)
    (home / "config").write_text("[default]\ncredential_process = sleep 1\n")
    with pytest.raises(StorageUnavailable) as unavailable:
        await Credentials().get()
    assert reason(unavailable.value) == "no answer in time"


@needs_ceph
async def test_keys_that_the_store_calls_expired_are_renewed_at_once(
    ceph: Ceph, connect: ConnectS3, home: Path
) -> None:
    """Ceph has no temporary keys here: its word for unknown ones becomes that for expired ones."""
    (home / "credentials").write_text(
        "[default]\naws_access_key_id = expired\naws_secret_access_key = secret\n"
    )
    async with relaying(ceph.endpoint) as (address, relay):
        client = connect(endpoint=address, access_key="", secret_key="")
        relay.alter = lambda received: received.replace(
            b"<Code>InvalidAccessKeyId</Code>", b"<Code>ExpiredToken</Code>      "
        )
        with pytest.raises(StorageUnavailable) as unavailable:
            await client.list_objects()
        assert "ExpiredToken (403); the temporary credentials" in reason(unavailable.value)
        client._calls.credentials._found = None
        (home / "credentials").write_text(
            f"[default]\naws_access_key_id = {ceph.access_key}\n"
            f"aws_secret_access_key = {ceph.secret_key}\n"
        )
        assert await client.list_objects() == []
