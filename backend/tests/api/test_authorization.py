"""The authorisation matrix: every call of the OpenAPI document, by every actor, on every image."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import text
from starlette.routing import Route

from app.api.problems.problem import PROBLEMS_PATH
from app.composition.roles import SERVICE
from app.composition.routers import ROUTERS
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.actor import Access, Scope
from app.domain.user import User, UserRole
from app.statements.images import find_images
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.asgi import OpenClient
from testkit.authorization import (
    OF_IMAGES,
    OF_IMAGES_BY_BODY,
    RIGHTS_WITHOUT_KEY,
    RULES,
    SCOPE_OF,
    Kind,
    Subject,
    expected,
)
from testkit.keys import Holder, make_key, make_user
from testkit.renditions import put_rendition
from testkit.storages import OpenStorage

UPLOAD: Final = "/api/v1/images/upload"
KEY: Final = "correct-horse"
ALL: Final = (Scope.READ, Scope.WRITE, Scope.DELETE)
LAST: Final = ("delete_images", "delete_image")
"""What removes images comes after all else."""


class Call(NamedTuple):
    """A call of the document."""

    method: str
    path: str
    security: list[dict[str, list[str]]]
    says_no_store: bool
    """Whether each answer is described as one that no cache may keep."""

    def is_of_image(self, name: str) -> bool:
        return "{image_id}" in self.path or name in OF_IMAGES_BY_BODY


async def read_calls(client: httpx.AsyncClient) -> dict[str, Call]:
    """Return the calls of the document by their names, those last that remove images."""
    paths = (await client.get("/openapi.json")).json()["paths"]
    calls = {
        operation["operationId"]: Call(
            method.upper(),
            path,
            operation.get("security", []),
            all(
                "no-store"
                in answer.get("headers", {}).get("Cache-Control", {}).get("description", "")
                for answer in operation["responses"].values()
            ),
        )
        for path, operations in paths.items()
        for method, operation in operations.items()
    }
    return {name: calls[name] for name in sorted(calls, key=lambda name: (name in LAST, name))}


@pytest.mark.parametrize("access", Access)
async def test_every_call_has_a_rule_and_the_document_says_the_same(
    open_client: OpenClient, access: Access
) -> None:
    async with open_client(access=access) as client:
        calls = await read_calls(client)
    assert [name for name in calls if name not in RULES] == [], "say in RULES who may do this"
    for name, call in calls.items():
        needs = RULES[name].needs
        scopes = {scope for need in call.security for names in need.values() for scope in names}
        if needs in {"", "the file"}:
            assert not call.security or {} in call.security, name
        else:
            assert call.security, name
            assert scopes == (set() if needs == "a key" else {SCOPE_OF.get(needs, needs)}), name
            assert ({} in call.security) is (needs in RIGHTS_WITHOUT_KEY[access]), name
        assert call.says_no_store is (needs not in {"", "the file"}), name


def test_the_document_has_all_routes_but_those_that_answer_head() -> None:
    routers = ROUTERS[SERVICE]
    hidden = {
        route.path
        for router in (*routers.protected, *routers.public)
        for route in router.routes
        if isinstance(route, Route) and not route.include_in_schema and route.methods != {"HEAD"}
    }
    assert hidden == {PROBLEMS_PATH}


async def test_without_a_key_head_is_refused_wherever_get_is(open_client: OpenClient) -> None:
    image = Subject("", is_public=True, id=str(UUID(int=0)), token="")
    async with open_client(access=Access.KEYS) as client:
        for name, call in (await read_calls(client)).items():
            if call.method == "GET" and RULES[name].needs not in {"", "the file"}:
                path = call.path.format(image_id=image.id, user_id=image.id, prefix="ih_00000000")
                assert (await client.head(path)).status_code == 401, name


@pytest.mark.parametrize("access", Access)
async def test_everybody_may_do_what_the_rules_say_and_nothing_else(
    open_client: OpenClient,
    database: Database,
    settings: Settings,
    open_storage: OpenStorage,
    access: Access,
) -> None:
    storage = open_storage(settings.data_dir / "images")
    found: dict[str, int] = {}
    right: dict[str, int] = {}
    async with open_client(access=access, api_key=SecretStr(KEY)) as client:
        calls = await read_calls(client)
        world = World(client, database, storage)
        await world.restore()
        for kind in await world.kinds(access):
            for name, call in calls.items():
                if name in LAST:
                    await world.restore()
                is_of_image = call.is_of_image(name)
                for image_name, image in [*world.images.items()][: None if is_of_image else 1]:
                    case = f"{kind.name}: {name}" + (f", {image_name}" if is_of_image else "")
                    right[case] = expected(name, kind, image, is_of_image=is_of_image)
                    found[case] = await world.answer(kind, name, call, image)
            await world.restore()
    wrong = [
        f"{case}: {found[case]}, not {right[case]}" for case in found if found[case] != right[case]
    ]
    assert not wrong, "\n".join(wrong)


async def test_a_count_is_of_the_images_that_one_reaches(
    open_client: OpenClient, database: Database
) -> None:
    ann, bob = [(await make_key(database, *ALL)).headers for _ in range(2)]
    async with open_client(access=Access.KEYS, api_key=SecretStr(KEY)) as client:
        for headers, number in ((ann, 1), (bob, 2), (bearer(KEY), 3)):
            for _ in range(number):
                await client.post(UPLOAD, files={"file": samples.jpeg()}, headers=headers)
        for headers, number in ((ann, 1), (bob, 2), (bearer(KEY), 6)):
            for query in ("", "?type=image/jpeg"):
                response = await client.get(f"/api/v1/images/count{query}", headers=headers)
                assert response.json() == {"count": number, "exact": True}


@dataclass
class World:
    """Two users, and images of theirs and of nobody."""

    client: httpx.AsyncClient
    database: Database
    storage: LocalStorage
    owners: dict[str, Holder] = field(default_factory=dict)
    images: dict[str, Subject] = field(default_factory=dict)

    async def restore(self) -> None:
        """Make what is to be there and is not."""
        for name in ("ann", "bob"):
            if name not in self.owners:
                self.owners[name] = await make_key(self.database, *ALL)
        ids = [UUID(image.id) for image in self.images.values()]
        async with self.database.read() as session:
            stored = await find_images(session, ids)
        for owner in ("ann", "bob", ""):
            for is_public in (True, False):
                name = f"{owner or 'nobody'}'s {'public' if is_public else 'private'} image"
                if name not in self.images or UUID(self.images[name].id) not in stored:
                    self.images[name] = await self._upload(owner, is_public=is_public)

    async def _upload(self, owner: str, *, is_public: bool) -> Subject:
        response = await self.client.post(
            UPLOAD,
            data={"is_public": str(is_public)},
            files={"file": samples.jpeg()},
            headers=self.owners[owner].headers if owner else bearer(KEY),
        )
        assert response.status_code == 201, response.text
        image = response.json()
        await put_rendition(self.database, self.storage, UUID(image["id"]), sizes=(150,))
        return Subject(owner, is_public, image["id"], image["delete_token"])

    async def answer(self, kind: Kind, name: str, call: Call, image: Subject) -> int:
        """Return the status of a call; of one about several images, what it says of this one."""
        names: dict[str, object] = {"image_id": image.id, "size": 150}
        if "{user_id}" in call.path:
            names["user_id"] = (await make_user(self.database)).id
        if "{prefix}" in call.path:
            names["prefix"] = (await make_key(self.database)).key[:11]
        headers = dict(kind.headers)
        if kind.has_tokens and name == "delete_image":
            headers["X-Delete-Token"] = image.token
        request = RULES[name].request(image)
        response = await self.client.request(
            call.method, call.path.format_map(names), headers=headers, **request
        )
        _assert_kept_by_nobody_else(name, image, response)
        if name in OF_IMAGES_BY_BODY and response.is_success:
            body = response.json()
            ids = body["deleted"] if "deleted" in body else [item["id"] for item in body["items"]]
            return response.status_code if image.id in ids else 404
        return response.status_code

    async def kinds(self, access: Access) -> list[Kind]:
        """Return all kinds of actors."""
        ann, bob = self.owners["ann"], self.owners["bob"]
        root = await make_user(self.database, UserRole.ADMIN)
        without, is_open = RIGHTS_WITHOUT_KEY[access], access is Access.OPEN
        everything = OF_IMAGES | {"keys", "admin"}

        async def key(user: User, *scopes: Scope) -> Mapping[str, str]:
            return (await make_key(self.database, *scopes, user=user)).headers

        return [
            Kind("nobody", {}, without, reaches_all=is_open),
            Kind("who has the token", {}, without, reaches_all=is_open, has_tokens=True),
            Kind("a wrong key", bearer(f"{ann.key[:-2]}-_"), None),
            Kind("a revoked key", await self._useless_key("api_keys", "revoked_at"), None),
            Kind("an expired key", await self._useless_key("api_keys", "expires_at"), None),
            Kind("a disabled user", await self._useless_key("users", "disabled_at"), None),
            Kind("ann", ann.headers, OF_IMAGES, "ann"),
            Kind("bob", {"X-API-Key": bob.key}, OF_IMAGES, "bob"),
            Kind("ann to read", await key(ann.user, Scope.READ), frozenset({"read"}), "ann"),
            Kind(
                "ann to write",
                await key(ann.user, Scope.WRITE),
                frozenset({"upload", "write"}),
                "ann",
            ),
            Kind("ann to delete", await key(ann.user, Scope.DELETE), frozenset({"delete"}), "ann"),
            Kind("ann's keys", await key(ann.user, Scope.ADMIN), frozenset({"keys"}), "ann"),
            Kind("an administrator", await key(root, *Scope), everything, "root", reaches_all=True),
            Kind("an administrator as anybody", await key(root, *ALL), OF_IMAGES, "root"),
            Kind("API_KEY", bearer(KEY), everything, reaches_all=True),
        ]

    async def _useless_key(self, table: str, column: str) -> Mapping[str, str]:
        """Return a key for all that is worth nothing, since a time is over."""
        holder = await make_key(self.database, *Scope)
        which = {"api_keys": "user_id", "users": "id"}[table]
        statement = text(f"UPDATE {table} SET {column} = now() WHERE {which} = :user")  # noqa: S608
        async with self.database.write() as session:
            await session.execute(statement, {"user": holder.user.id})
        return holder.headers


def _assert_kept_by_nobody_else(name: str, image: Subject, response: httpx.Response) -> None:
    """Make sure that no cache gives to others what was answered to whoever asked."""
    control = response.headers.get("cache-control", "")
    match RULES[name].needs:
        case "":
            assert "private" not in control
        case "the file" if response.is_success:
            assert control.startswith("public, " if image.is_public else "private, "), name
        case _:
            assert control == "no-store", name


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}
