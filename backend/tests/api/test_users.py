"""Users and API keys over HTTP: who may see and change what."""

from collections.abc import AsyncIterator
from uuid import uuid4

import httpx
import pytest
from pydantic import SecretStr

from app.database.engine import Database
from app.domain.actor import Scope
from app.domain.user import UserRole
from testkit.asgi import OpenClient
from testkit.keys import make_key, make_user
from testkit.problems import assert_problem

USERS = "/api/v1/users"
ME = f"{USERS}/me"
KEYS = "/api/v1/keys"
API_KEY = {"X-API-Key": "geheim"}


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(api_key=SecretStr("geheim")) as client:
        yield client


async def test_the_holder_of_a_key_sees_whose_it_is_and_what_it_is_for(
    client: httpx.AsyncClient, database: Database
) -> None:
    holder = await make_key(database, Scope.READ, Scope.ADMIN)
    answer = (await client.get(ME, headers=holder.headers)).json()
    assert answer["user"]["email"] == holder.user.email
    assert answer["user"]["used_bytes"] == 0
    assert answer["scopes"] == ["read", "admin"]
    assert answer["is_administrator"] is False
    same = await client.get(ME, headers={"X-API-Key": holder.key})
    assert same.json() == answer
    assert (await client.get(ME, headers=API_KEY)).json() == {
        "user": None,
        "scopes": ["read", "write", "delete", "admin"],
        "is_administrator": True,
    }


@pytest.mark.parametrize("access", ["open", "upload", "keys"])
async def test_whoever_has_no_key_is_nobody(open_client: OpenClient, access: str) -> None:
    async with open_client(access=access) as client:
        for path in (ME, USERS, KEYS):
            assert_problem(await client.get(path), 401, "invalid-key")


async def test_an_administrator_manages_users(
    client: httpx.AsyncClient, database: Database
) -> None:
    admin = await make_key(database, Scope.ADMIN, role=UserRole.ADMIN)
    for headers in (API_KEY, admin.headers):
        new = {"email": f"{uuid4().hex}@example.org", "quota_bytes": 100}
        added = await client.post(USERS, json=new, headers=headers)
        user = added.json()
        assert added.status_code == 201
        assert (user["email"], user["quota_bytes"], user["role"]) == (new["email"], 100, "user")
        assert_problem(await client.post(USERS, json=new, headers=headers), 409, "user-exists")
        path = f"{USERS}/{user['id']}"
        assert (await client.get(path, headers=headers)).json() == user
        changes = {"quota_bytes": None, "quota_images": 5, "disabled": True}
        changed = (await client.patch(path, json=changes, headers=headers)).json()
        disabled_at = changed.pop("disabled_at")
        assert disabled_at
        del user["disabled_at"]
        assert changed == user | {"quota_bytes": None, "quota_images": 5}
        assert_problem(await client.delete(path, headers=headers), 422, "invalid-request")
        deleted = await client.delete(path, headers=headers, params={"images": "keep"})
        assert deleted.status_code == 202
        assert deleted.json()["deletion"] == "keep"
        assert_problem(
            await client.patch(path, json=changes, headers=headers), 404, "user-not-found"
        )
    missing = f"{USERS}/{uuid4()}"
    assert_problem(await client.get(missing, headers=API_KEY), 404, "user-not-found")


async def test_administrators_page_through_the_users(
    client: httpx.AsyncClient, database: Database
) -> None:
    emails = sorted([(await make_user(database)).email for _ in range(3)])
    first = (await client.get(USERS, params={"limit": 2}, headers=API_KEY)).json()
    rest = await client.get(USERS, params={"cursor": first["next_cursor"]}, headers=API_KEY)
    assert [user["email"] for user in first["items"] + rest.json()["items"]] == emails
    assert rest.json()["next_cursor"] is None


async def test_users_are_managed_by_administrators_only(
    client: httpx.AsyncClient, database: Database
) -> None:
    user = await make_key(database, *Scope)
    path = f"{USERS}/{user.user.id}"
    calls = [("GET", USERS), ("POST", USERS), ("GET", path), ("PATCH", path), ("DELETE", path)]
    reader = await make_key(database, Scope.READ, role=UserRole.ADMIN)
    for method, url in calls:
        answer = await client.request(method, url, headers=user.headers)
        assert_problem(answer, 403, "administrators-only")
        answer = await client.request(method, url, headers=reader.headers)
        assert_problem(answer, 403, "missing-scope")


async def test_a_user_manages_their_own_keys_and_sees_each_secret_once(
    client: httpx.AsyncClient, database: Database
) -> None:
    user = await make_key(database, Scope.ADMIN)
    wanted = {"scopes": ["read"], "expires_in": 3600}
    response = await client.post(KEYS, json=wanted, headers=user.headers)
    created = response.json()
    assert response.status_code == 201
    assert response.headers["cache-control"] == "no-store"
    secret = created.pop("key")
    assert secret.startswith(created["prefix"] + "_")
    assert created["user_id"] == str(user.user.id)
    assert created["scopes"] == ["read"]
    assert created["expires_at"] > created["created_at"]
    reader = {"Authorization": f"Bearer {secret}"}
    assert (await client.get(ME, headers=reader)).json()["scopes"] == ["read"]
    assert_problem(await client.get(KEYS, headers=reader), 403, "missing-scope")
    listed = (await client.get(KEYS, headers=user.headers)).json()
    assert listed["items"][0] == created
    assert [key["prefix"] for key in listed["items"]] == [created["prefix"], user.key[:11]]
    revoked = await client.delete(f"{KEYS}/{created['prefix']}", headers=user.headers)
    assert revoked.status_code == 204
    listed = (await client.get(KEYS, headers=user.headers)).json()
    assert listed["items"][0]["revoked_at"]


async def test_keys_of_others_are_there_for_administrators_only(
    client: httpx.AsyncClient, database: Database
) -> None:
    user, other = await make_key(database, *Scope), await make_key(database)
    of_other = {"user_id": str(other.user.id)}
    path = f"{KEYS}/{other.key[:11]}"
    for response in (
        await client.get(KEYS, params=of_other, headers=user.headers),
        await client.post(KEYS, json=of_other, headers=user.headers),
    ):
        assert_problem(response, 404, "user-not-found")
    assert_problem(await client.delete(path, headers=user.headers), 404, "key-not-found")
    listed = await client.get(KEYS, params=of_other, headers=API_KEY)
    assert [key["prefix"] for key in listed.json()["items"]] == [other.key[:11]]
    assert (await client.post(KEYS, json=of_other, headers=API_KEY)).status_code == 201
    assert (await client.delete(path, headers=API_KEY)).status_code == 204
    for response in (
        await client.get(KEYS, headers=API_KEY),
        await client.post(KEYS, json={}, headers=API_KEY),
    ):
        assert "user_id" in assert_problem(response, 404, "user-not-found")


async def test_a_user_can_be_given_no_more_keys_than_there_may_be(
    client: httpx.AsyncClient, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.services.keys.MAX_KEYS", 1)
    user = await make_key(database, Scope.ADMIN)
    refused = await client.post(KEYS, json={}, headers=user.headers)
    assert_problem(refused, 409, "too-many-keys")
