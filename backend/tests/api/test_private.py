"""Private images: fetched by signed addresses and by keys, and by nobody else."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit
from uuid import UUID

import httpx
import pytest
from pydantic import SecretStr
from starlette.routing import Match

from app.api.images.file_route import FileRoute
from app.config.settings import Settings
from app.database.engine import Database
from app.domain.actor import Access
from app.services import signing, thumbnails
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.asgi import OpenClient
from testkit.live import until
from testkit.problems import assert_problem
from testkit.renditions import put_rendition

IMAGES = "/api/v1/images"
JPEG = samples.jpeg()
KEY = "of-the-administrator"
WITH_KEY = {"authorization": f"Bearer {KEY}"}
OTHER_WAY = {"x-api-key": KEY}
WRONG_KEY = {"authorization": "Bearer wrong"}
KEYS = {"api_key": SecretStr(KEY), "access": Access.KEYS, "thumbnail_sizes": (150,)}
SIGNING = {"signing_key": SecretStr(f"b:{'B' * 32}")}
ROTATED = {"signing_key": SecretStr(f"c:{'C' * 32},b:{'B' * 32}")}
OTHERS = {"signing_key": SecretStr(f"b:{'X' * 32}")}


@pytest.fixture
async def client(open_client: OpenClient) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(**KEYS) as client:
        yield client


async def upload(
    client: httpx.AsyncClient, headers: dict[str, str] = WITH_KEY, **fields: str
) -> dict[str, Any]:
    response = await client.post(
        f"{IMAGES}/upload", data=fields, files={"file": ("a.jpg", JPEG)}, headers=headers
    )
    assert response.status_code == 201, response.text
    image: dict[str, Any] = response.json()
    return image


async def upload_private(client: httpx.AsyncClient, settings: Settings, database: Database) -> Any:
    """Upload a private image whose thumbnail is there; return it as the list has it."""
    image = await upload(client, is_public="false")
    storage = LocalStorage(settings.data_dir / "images")
    await put_rendition(database, storage, UUID(image["id"]), [150])
    await storage.close()
    return (await client.get(IMAGES, headers=WITH_KEY)).json()["items"][0]


async def change(client: httpx.AsyncClient, image: dict[str, Any], *, is_public: bool) -> Any:
    response = await client.patch(
        f"{IMAGES}/{image['id']}", json={"is_public": is_public}, headers=WITH_KEY
    )
    assert response.status_code == 200, response.text
    return response.json()


def addresses(image: dict[str, Any]) -> list[str]:
    return [image["url"], image["thumbnails"]["150"]["url"]]


def bare(url: str) -> str:
    return url.partition("?")[0]


def replaced(url: str, **parameters: str) -> str:
    query = dict(parse_qsl(urlsplit(url).query)) | parameters
    return f"{bare(url)}?{urlencode(query)}"


def forms_of(query: str) -> list[str]:
    """Return a query as addresses have it, and others that mean the same."""
    return [query, "&".join(reversed(query.split("&"))), f"{query}&download=0"]


def is_of_the_first_route(path: str, query: str) -> bool:
    scope = {"type": "http", "method": "GET", "path": path, "query_string": query.encode()}
    return FileRoute().matches(scope)[0] is Match.FULL


def answer_of(response: httpx.Response) -> tuple[int, dict[str, str], bytes]:
    """Return all of an answer but what no other one has."""
    others = {"x-request-id", "date", "cache-control"}
    fields = {name: value for name, value in response.headers.items() if name not in others}
    kept = response.headers["cache-control"].partition("=")[0]  # until a moment
    return response.status_code, fields | {"cache-control": kept}, response.content


async def assert_absent(client: httpx.AsyncClient, url: str, **headers: str) -> None:
    """Make sure that an address is answered as that of an image which does not exist."""
    response = await client.get(url, headers=headers)
    assert_problem(response, 404, "image-not-found")
    assert (await client.head(url, headers=headers)).status_code == 404
    image_id, missing = url.split("/")[6], "00000000-0000-0000-0000-000000000000"
    unknown = await client.get(url.replace(image_id, missing), headers=headers)
    assert response.text.replace(image_id, missing) == unknown.text
    names = [
        {name: value for name, value in answer.headers.items() if name != "x-request-id"}
        for answer in (response, unknown)
    ]
    assert names[0] == names[1]


async def test_a_private_file_is_for_signed_addresses_and_keys_that_reach_it(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    image = await upload_private(client, settings, database)
    assert image["is_public"] is False
    for url in addresses(image):
        by_address = await client.get(url)
        assert by_address.status_code == 200
        for headers in (WITH_KEY, OTHER_WAY):
            by_key = await client.get(bare(url), headers=headers)
            assert by_key.content == by_address.content
            assert by_key.headers["cache-control"] == "private, no-cache"
        for nobody in ({}, WRONG_KEY):
            await assert_absent(client, bare(url), **nobody)


async def test_a_condition_and_a_range_show_no_stranger_that_there_is_a_private_image(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    image = await upload_private(client, settings, database)
    for url in addresses(image):
        etag = (await client.get(url)).headers["etag"]
        for headers in (
            {"if-none-match": etag},
            {"if-match": '"other"'},
            {"range": "bytes=0-1"},
            {"range": "bytes=99999999-"},
        ):
            await assert_absent(client, bare(url), **headers)
        assert (await client.get(url, headers={"if-none-match": etag})).status_code == 304


async def test_browsers_may_keep_a_private_file_until_its_address_expires(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    image = await upload_private(client, settings, database)
    for url in addresses(image):
        expires = int(dict(parse_qsl(urlsplit(url).query))["expires"])
        assert expires % 3600 == 0
        assert 3600 - 60 < expires - time.time() <= 7200
        for headers in ({}, {"if-none-match": "*"}):
            began = int(time.time())
            control = (await client.get(url, headers=headers)).headers["cache-control"]
            kind, _, seconds = control.partition(", max-age=")
            assert kind == "private"
            assert began <= expires - int(seconds) <= time.time()
        saved = (await client.get(f"{url}&download=1")).headers["cache-control"]
        assert saved == "private, no-cache"


async def test_an_address_is_answered_by_the_first_route_as_it_is_in_any_other_form(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    image = await upload_private(client, settings, database)
    for url in addresses(image):
        path, query = urlsplit(url).path, urlsplit(url).query
        ways = [is_of_the_first_route(path, form) for form in forms_of(query)]
        assert ways == [True, False, False]
        for method, fields in (
            ("GET", {}),
            ("HEAD", {}),
            ("GET", {"range": "bytes=1-9"}),
            ("GET", {"range": "bytes=99999999-"}),
            ("GET", {"if-none-match": "*"}),
            ("GET", {"if-match": '"other"'}),
        ):
            for sent in (query, replaced(url, signature="A" * 22).partition("?")[2]):
                first, *others = [
                    await client.request(method, f"{path}?{form}", headers=fields)
                    for form in forms_of(sent)
                ]
                for other in others:
                    assert answer_of(other) == answer_of(first)


async def test_an_address_is_good_for_its_own_file_until_its_own_time_only(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    image = await upload_private(client, settings, database)
    other = await upload_private(client, settings, database)
    file, thumbnail = addresses(image)
    query = urlsplit(file).query
    signature = dict(parse_qsl(query))["signature"]
    wrong = [
        f"{bare(thumbnail)}?{query}",
        f"{bare(other['url'])}?{query}",
        replaced(file, expires="9999999999"),
        replaced(file, expires="x"),
        replaced(file, expires="٣"),
        replaced(file, key="1"),
        replaced(file, key=""),
        replaced(file, signature=signature[:-1]),
        replaced(file, signature=signature + "="),
        replaced(file, signature=signature.swapcase()),
        replaced(file, signature="é\ud800".encode(errors="replace").decode()),
        f"{bare(file)}?expires={int(time.time()) + 60}",
    ]
    for url in wrong:
        await assert_absent(client, url)


async def test_each_change_of_visibility_ends_all_addresses_and_is_effective_at_once(
    client: httpx.AsyncClient, settings: Settings, database: Database
) -> None:
    private = await upload_private(client, settings, database)
    for url in addresses(private):
        assert (await client.get(url)).status_code == 200
    public = await change(client, private, is_public=True)
    assert addresses(public) == [bare(url) for url in addresses(private)]
    etags = []
    for url in addresses(public):
        answer = await client.get(url)
        assert answer.headers["cache-control"].startswith("public, ")
        etags.append(answer.headers["etag"])
    again = await change(client, public, is_public=False)
    for url, etag in zip(addresses(public), etags, strict=True):
        await assert_absent(client, url)
        await assert_absent(client, url, **{"if-none-match": etag})
    for url in addresses(private):
        await assert_absent(client, url)
    for url in addresses(again):
        assert (await client.get(url)).status_code == 200


async def test_a_download_in_another_process_finds_the_file_by_its_new_key(
    client: httpx.AsyncClient, open_client: OpenClient, settings: Settings, database: Database
) -> None:
    """What that process remembers of it is no longer so."""
    image = await upload_private(client, settings, database)
    async with open_client(**KEYS) as other:
        for is_public in (True, False, True):
            for url in addresses(image):
                assert (await other.get(url)).status_code == 200
            image = await change(client, image, is_public=is_public)
        for url in addresses(image):
            assert (await other.get(url)).status_code == 200
            assert (await other.head(url)).status_code == 200


async def test_strangers_do_not_have_thumbnails_rendered_of_private_images(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(thumbnails, "WAIT_SECONDS", 0.1)
    image = await upload(client, is_public="false")
    url = image["thumbnails"]["150"]["url"]
    await assert_absent(client, bare(url))
    assert_problem(await client.get(url), 503, "thumbnail-not-ready")


async def test_where_everybody_may_list_private_images_their_addresses_are_signed_all_the_same(
    open_client: OpenClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    monkeypatch.setattr(signing, "time", lambda: now)  # in the next hour they are other ones
    async with open_client() as client:
        image = await upload(client, {}, is_public="false")
        (listed,) = (await client.get(IMAGES)).json()["items"]
        assert image | listed == image
        assert (await client.get(f"{IMAGES}/{image['id']}")).json()["url"] == image["url"]
        assert (await client.get(image["url"])).content == JPEG
        await assert_absent(client, bare(image["url"]))


async def test_a_key_that_was_replaced_recognises_and_one_that_was_removed_does_not(
    open_client: OpenClient,
) -> None:
    async with open_client(**KEYS) as client:
        own = await upload(client, is_public="false")
    async with open_client(**KEYS, **SIGNING) as client:
        await assert_absent(client, own["url"])
        signed = (await client.get(f"{IMAGES}/{own['id']}", headers=WITH_KEY)).json()["url"]
        assert "key=b&" in signed
        assert (await client.get(signed)).status_code == 200
    async with open_client(**KEYS, **ROTATED) as client:
        assert (await client.get(signed)).status_code == 200
        by_new = (await client.get(f"{IMAGES}/{own['id']}", headers=WITH_KEY)).json()["url"]
        assert "key=c&" in by_new
        await assert_absent(client, replaced(signed, key="c"))
    for settings in (OTHERS, {}):
        async with open_client(**KEYS, **settings) as client:
            await assert_absent(client, signed)
            await assert_absent(client, by_new)


async def test_a_link_is_good_for_as_long_as_it_was_asked_for(client: httpx.AsyncClient) -> None:
    image = await upload(client, is_public="false")
    path = f"{IMAGES}/{image['id']}/links"
    began = int(time.time())
    response = await client.post(path, json={"expires_in": 90}, headers=WITH_KEY)
    assert response.status_code == 201
    link = response.json()
    expires = int(dict(parse_qsl(urlsplit(link["url"]).query))["expires"])
    assert began + 90 <= expires <= time.time() + 90
    assert link["expires_at"] == time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(expires))
    assert (await client.get(link["url"])).content == JPEG
    short = (await client.post(path, json={"expires_in": 1}, headers=WITH_KEY)).json()["url"]
    await asyncio.sleep(1.1)
    await assert_absent(client, short)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": 31_536_001},
        {"expires_in": "60"},
        {"expires_in": 1.5},
        {"expires_in": None},
        {"expires_in": 60, "a": 1},
    ],
    ids=str,
)
async def test_a_link_for_another_time_than_a_second_to_a_year_is_refused(
    client: httpx.AsyncClient, body: object
) -> None:
    image = await upload(client, is_public="false")
    response = await client.post(f"{IMAGES}/{image['id']}/links", json=body, headers=WITH_KEY)
    assert_problem(response, 422, "invalid-request")


async def test_a_public_image_has_no_link_that_expires_and_a_missing_one_has_none_at_all(
    client: httpx.AsyncClient,
) -> None:
    image = await upload(client)
    for image_id, problem in {
        image["id"]: (409, "image-is-public"),
        "00000000-0000-0000-0000-000000000000": (404, "image-not-found"),
    }.items():
        response = await client.post(
            f"{IMAGES}/{image_id}/links", json={"expires_in": 60}, headers=WITH_KEY
        )
        assert_problem(response, *problem)


async def test_the_secrets_of_addresses_are_in_no_log(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "app")
    image = await upload(client, is_public="false")
    assert (await client.get(image["url"])).status_code == 200
    (signature,) = [value for name, value in parse_qsl(image["url"]) if name == "signature"]

    def ours() -> str:
        return str([vars(one) for one in caplog.records if one.name.startswith("app.")])

    await until(lambda: "/file 200" in ours())
    assert signature not in ours()
