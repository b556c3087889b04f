"""API keys: how they are made, recognised and revoked, and what is stored of them."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import event, text

from app.database.engine import Database
from app.domain.actor import ADMINISTRATOR, Actor, Right, Scope
from app.domain.errors import DatabaseUnavailable
from app.domain.user import UserRole
from app.domain.user_errors import InvalidKey, KeyNotFound, TooManyKeys, UserNotFound
from app.services import keys, last_used
from app.services.authentication import REMEMBERED_SECONDS
from app.services.use_cases import Services
from app.storage.memory import MemoryStorage
from testkit.daemons import lasting_port
from testkit.databases import until_a_statement_waits_for_a_lock
from testkit.keys import make_key, make_user
from testkit.live import TIMEOUT
from testkit.uploads import LIMITS


async def is_refused(services: Services, key: str) -> bool:
    try:
        await services.authentication.actor_of(key)
    except InvalidKey:
        return True
    return False


async def until_refused(services: Services, key: str) -> None:
    async with asyncio.timeout(TIMEOUT):
        while not await is_refused(services, key):  # noqa: ASYNC110 - nothing sets an event for it
            await asyncio.sleep(0.01)


@contextmanager
def counted_look_ups(database: Database) -> Iterator[list[str]]:
    """Collect the statements that find keys."""
    sent: list[str] = []

    def note(_c: object, _k: object, statement: str, *_: object) -> None:
        if statement.startswith("SELECT api_keys"):
            sent.append(statement)

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine, "before_cursor_execute", note)


@pytest.fixture
async def another(database: Database) -> AsyncIterator[Services]:
    """Use cases as of another process."""
    services = Services(database, MemoryStorage(), LIMITS)
    yield services
    await services.close()


async def value_of(database: Database, query: str) -> object:
    async with database.read() as session:
        return await session.scalar(text(query))


async def last_use(database: Database) -> object:
    return await value_of(database, "SELECT last_used_at FROM api_keys")


async def test_a_key_is_of_its_user_and_for_its_scopes(
    services: Services, database: Database
) -> None:
    holder = await make_key(database, Scope.READ, Scope.WRITE)
    actor = await services.authentication.actor_of(holder.key)
    rights = frozenset({Right.READ, Right.UPLOAD, Right.WRITE})
    assert actor == Actor(rights, holder.user.id) == holder.actor


@pytest.mark.parametrize(
    ("role", "scope", "expected"),
    [
        (UserRole.USER, Scope.ADMIN, Actor(frozenset({Right.KEYS}))),
        (UserRole.ADMIN, Scope.ADMIN, Actor(Scope.ADMIN.rights, reaches_all=True)),
        (UserRole.ADMIN, Scope.READ, Actor(frozenset({Right.READ}))),
    ],
)
async def test_the_scope_admin_manages_ones_own_keys_and_of_an_administrator_everything(
    services: Services, database: Database, role: UserRole, scope: Scope, expected: Actor
) -> None:
    holder = await make_key(database, scope, role=role)
    actor = await services.authentication.actor_of(holder.key)
    assert actor == replace(expected, user_id=holder.user.id)


async def test_what_is_no_key_is_refused(services: Services, database: Database) -> None:
    holder = await make_key(database)
    other = await make_key(database)
    prefix = holder.key[:11]
    for key in (
        "",
        "geheim",
        prefix,
        "ÿ" * 55,
        holder.key + "A",
        holder.key[:-1] + ("A" if holder.key[-1] != "A" else "B"),
        prefix + other.key[11:],
        f"ih_00000000{holder.key[11:]}",
    ):
        assert await is_refused(services, key), key
    assert await services.authentication.actor_of(holder.key) == holder.actor


async def test_keys_cannot_be_read_from_the_database_nor_used_in_another(
    services: Services, another: Services, database: Database
) -> None:
    holder = await make_key(database)
    stored = str(await value_of(database, "SELECT api_keys::text FROM api_keys"))
    assert holder.key[12:] not in stored
    assert holder.key.encode()[12:].hex() not in stored
    async with database.write() as session:
        await session.execute(text("UPDATE installation SET secret = sha256('x'::bytea)"))
    assert await is_refused(another, holder.key)


async def test_many_calls_with_a_key_ask_the_database_once(
    services: Services, database: Database
) -> None:
    holders = [await make_key(database) for _ in range(5)]
    with counted_look_ups(database) as sent:
        for _ in range(2):
            calls = [services.authentication.actor_of(holder.key) for holder in holders * 20]
            actors = await asyncio.gather(*calls)
            assert actors == [holder.actor for holder in holders * 20]
    assert len(sent) < 10  # one, and more on a slow machine


async def test_a_revoked_key_is_refused_within_a_second_in_every_process(
    services: Services, another: Services, database: Database
) -> None:
    holder = await make_key(database)
    for each in (services, another):
        await each.authentication.actor_of(holder.key)
    await another.keys.revoke(holder.key[:11])
    await until_refused(services, holder.key)
    await until_refused(another, holder.key)
    assert REMEMBERED_SECONDS < 1
    (key,) = await services.keys.of(holder.user.id)
    assert key.revoked_at
    await services.keys.revoke(holder.key[:11])
    assert (await services.keys.of(holder.user.id)) == [key]


async def test_what_was_asked_before_a_revocation_is_not_remembered_after_it(
    services: Services, database: Database
) -> None:
    """The database answers late: a second after the question, nothing of it counts any more."""
    holder = await make_key(database)
    await services.authentication.actor_of((await make_key(database)).key)  # opens connections
    async with database.write() as session:
        await session.execute(text("LOCK TABLE users IN ACCESS EXCLUSIVE MODE"))
        asked = asyncio.create_task(services.authentication.actor_of(holder.key))
        await until_a_statement_waits_for_a_lock(database)
        await asyncio.sleep(REMEMBERED_SECONDS)
    assert await asked == holder.actor
    with counted_look_ups(database) as sent:
        await services.authentication.actor_of(holder.key)
    assert len(sent) == 1


async def test_keys_of_a_disabled_user_are_refused_until_they_are_enabled(
    services: Services, database: Database
) -> None:
    holder = await make_key(database)
    other = await make_key(database)
    await services.authentication.actor_of(holder.key)
    await services.users.change(holder.user.id, {"disabled": True})
    await until_refused(services, holder.key)
    assert await services.authentication.actor_of(other.key) == other.actor
    await services.users.change(holder.user.id, {"disabled": False})
    assert await services.authentication.actor_of(holder.key) == holder.actor


async def test_a_key_expires(services: Services, database: Database) -> None:
    user = await make_user(database)
    for seconds, expired in ((0.001, True), (3600, False)):
        created = await services.keys.create(user.id, expires_in=timedelta(seconds=seconds))
        await asyncio.sleep(0.01)
        assert created.described.expires_at
        assert await is_refused(services, created.key) is expired


async def test_without_a_database_a_key_is_neither_accepted_nor_refused(
    database: Database,
) -> None:
    holder = await make_key(database)
    nowhere = Database(f"postgresql://nobody@127.0.0.1:{lasting_port()}/nothing")
    services = Services(nowhere, MemoryStorage(), LIMITS, api_key="geheim")
    with pytest.raises(DatabaseUnavailable):
        await services.authentication.actor_of(holder.key)
    assert await services.authentication.actor_of("geheim") == ADMINISTRATOR
    assert await is_refused(services, "other")
    await services.close()
    await nowhere.close()


async def test_when_a_key_was_last_used_is_written_in_groups_and_at_the_end(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_used, "END_SECONDS", TIMEOUT)
    holder = await make_key(database)
    services = Services(database, MemoryStorage(), LIMITS)
    await services.authentication.actor_of(holder.key)
    assert await last_use(database) is None
    await services.close()
    first = await last_use(database)
    assert first
    monkeypatch.setattr(last_used, "INTERVAL_SECONDS", 0.0)
    services = Services(database, MemoryStorage(), LIMITS)
    await services.authentication.actor_of(holder.key)
    await services.close()
    assert await last_use(database) == first  # written a short time ago
    monkeypatch.setattr(last_used, "UNLESS_WITHIN", timedelta())
    services = Services(database, MemoryStorage(), LIMITS)
    await services.authentication.actor_of(holder.key)
    async with asyncio.timeout(TIMEOUT):
        while await last_use(database) == first:  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.01)
    await services.close()


async def test_a_user_has_no_more_than_so_many_keys(
    services: Services, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keys, "MAX_KEYS", 2)
    user = await make_user(database)
    created = await asyncio.gather(
        *(services.keys.create(user.id) for _ in range(4)), return_exceptions=True
    )
    assert [isinstance(one, TooManyKeys) for one in created].count(True) == 2
    for _ in range(5):
        newest = (await services.keys.of(user.id))[0]
        await services.keys.revoke(newest.prefix)
        await services.keys.create(user.id)
    listed = await services.keys.of(user.id)
    assert [key.revoked_at is None for key in listed].count(True) == 2
    assert len(listed) <= 2 + 2 + 1


async def test_keys_are_of_users_that_there_are(services: Services, database: Database) -> None:
    for act in (services.keys.create, services.keys.of):
        with pytest.raises(UserNotFound):
            await act(uuid4())
    for prefix in ("ih_00000000", "ih_\0", "x" * 40):
        with pytest.raises(KeyNotFound):
            await services.keys.revoke(prefix)
