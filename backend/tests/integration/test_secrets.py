"""Keys of an installation: from its database's secret, one a purpose."""

import asyncio

import pytest
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.domain.errors import DatabaseUnavailable
from app.services.secrets import Purpose, Secrets, is_digest_of, is_signed, sign
from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute


async def test_every_process_has_the_same_keys_and_each_purpose_another(
    database: Database, database_url: URL
) -> None:
    other = Database(database_url)
    ours, theirs = Secrets(database), Secrets(other)
    keys = [await ours.key(purpose) for purpose in Purpose]
    assert keys == list(await asyncio.gather(*map(theirs.key, Purpose)))
    assert len({*keys}) == len(Purpose)
    assert {len(key) for key in keys} == {32}
    await other.close()


async def test_another_installation_has_other_keys(database: Database, database_url: URL) -> None:
    before = await Secrets(database).key(Purpose.DELETION)
    await execute(database_url, "UPDATE installation SET secret = decode(repeat('ab', 32), 'hex')")
    assert await Secrets(database).key(Purpose.DELETION) != before


async def test_without_a_database_there_is_no_key_until_it_is_back(proxy: DatabaseProxy) -> None:
    database = Database(proxy.url)
    secrets = Secrets(database)
    proxy.cut("SELECT installation.secret", "before")
    with pytest.raises(DatabaseUnavailable):
        await secrets.key(Purpose.DELETION)
    assert await secrets.key(Purpose.DELETION)
    await database.close()


@pytest.mark.parametrize(
    "other", ["", "a", "ä\udc80", "?" * 22, sign(b"k", b"other"), sign(b"other", b"message")]
)
def test_only_the_token_of_this_key_and_message_is_right(other: str) -> None:
    token = sign(b"k", b"message")
    assert len(token) == 22
    assert is_signed(b"k", b"message", token)
    for wrong in (other, token[:-1], token + "=", token + "A", token.swapcase()):
        assert not is_signed(b"k", b"message", wrong)
    assert not is_digest_of(b"k", b"message", token.encode())
