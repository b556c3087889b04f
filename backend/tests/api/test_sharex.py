"""The settings of ShareX, used as ShareX uses them."""

import re
from typing import Any

import httpx
from pydantic import SecretStr

from testkit import samples
from testkit.asgi import OpenClient

SHAREX = "/api/v1/clients/sharex.sxcu"
IMAGES = "http://images.localhost/api/v1/images"
KEY = "correct-horse"


def filled_in(template: str, answer: dict[str, Any]) -> str:
    """Return a template with what ShareX reads from an answer, by JSONPath."""

    def value(found: re.Match[str]) -> str:
        place: Any = answer
        for name in found[1].split("."):
            place = place[name]
        return str(place)

    return re.sub(r"\{json:([^}]+)\}", value, template)


async def send(client: httpx.AsyncClient, sxcu: dict[str, Any]) -> httpx.Response:
    """Send a screenshot as ShareX does."""
    assert (sxcu["Body"], sxcu["DestinationType"]) == ("MultipartFormData", "ImageUploader")
    return await client.request(
        sxcu["RequestMethod"],
        sxcu["RequestURL"],
        headers=sxcu.get("Headers"),
        files={sxcu["FileFormName"]: ("screenshot.png", samples.png())},
    )


async def test_sharex_uploads_with_the_settings_as_they_are_where_no_key_is_needed(
    open_client: OpenClient,
) -> None:
    async with open_client(access="upload") as client:
        answer = await client.get(SHAREX)
        assert answer.headers["content-disposition"] == 'attachment; filename="image-host.sxcu"'
        sxcu = answer.json()
        assert "Headers" not in sxcu
        stored = await send(client, sxcu)
        image = stored.json()
        assert stored.status_code == 201
        assert filled_in(sxcu["URL"], image) == f"{IMAGES}/{image['id']}/file"
        assert filled_in(sxcu["ThumbnailURL"], image) == f"{IMAGES}/{image['id']}/thumbnails/300"
        page, _, secret = filled_in(sxcu["DeletionURL"], image).partition("#")
        assert page == "http://images.localhost/delete"
        assert secret == f"{image['id']}.{image['delete_token']}"


async def test_sharex_is_left_the_key_to_be_filled_in_and_shown_why_it_is_refused(
    open_client: OpenClient,
) -> None:
    async with open_client(api_key=SecretStr(KEY)) as client:
        sxcu = (await client.get(SHAREX)).json()
        refused = await send(client, sxcu)
        assert refused.status_code == 401
        assert filled_in(sxcu["ErrorMessage"], refused.json()) == refused.json()["detail"]
        sxcu["Headers"] = {
            name: value.replace("YOUR-KEY", KEY) for name, value in sxcu["Headers"].items()
        }
        assert (await send(client, sxcu)).status_code == 201


async def test_sharex_gets_the_address_that_people_use_and_a_thumbnail_that_there_is(
    open_client: OpenClient,
) -> None:
    settings = {"public_url": "https://images.example.org/p", "thumbnail_sizes": (96, 640)}
    async with open_client(**settings) as client:
        sxcu = (await client.get(SHAREX)).json()
        assert sxcu["RequestURL"] == "https://images.example.org/p/api/v1/images/upload"
        assert sxcu["ThumbnailURL"] == "{json:thumbnails.96.url}"
    async with open_client(thumbnail_sizes=()) as client:
        assert "ThumbnailURL" not in (await client.get(SHAREX)).json()
