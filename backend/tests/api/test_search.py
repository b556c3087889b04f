"""The list by what its images have in common."""

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

import httpx
import pytest

from app.database.engine import Database
from app.services import images
from app.statements.rendering import record_metadata
from app.statements.search import search_of
from testkit import samples
from testkit.asgi import Upload
from testkit.problems import assert_problem
from testkit.uploads import add, row

IMAGES = "/api/v1/images"
JPEG, PNG = samples.jpeg(), samples.png()
DAY = datetime(2026, 11, 30, tzinfo=UTC)
ALL = ["next", "last", "noon", "first", "before"]


async def names(client: httpx.AsyncClient, **params: str) -> list[str]:
    """Return the names of the images that a list has, in its order."""
    response = await client.get(IMAGES, params=params)
    assert response.status_code == 200, response.text
    return [item["filename"] for item in response.json()["items"]]


async def test_images_are_found_by_the_beginnings_of_words_of_their_names(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    for name in ("Köln, Dom und Rhein.jpg", "Berliner Dom.jpg", "北京大学.jpg", "🎄.jpg"):
        await upload(JPEG, name)
    assert await names(client, q="dom") == ["Berliner Dom.jpg", "Köln, Dom und Rhein.jpg"]
    assert await names(client, q="KOLN rh") == ["Köln, Dom und Rhein.jpg"]
    assert await names(client, q="大学") == ["北京大学.jpg"]
    assert await names(client, q="🎄") == ["🎄.jpg"]
    assert await names(client, q="erlin") == []


async def test_names_in_every_script_are_found_whatever_the_locale_of_the_database(
    client: httpx.AsyncClient, database: Database
) -> None:
    searches = {
        "Łódź à la carte.jpg": "lodz a",
        "Ёлка и снег.jpg": "елка",
        "Ἀθῆναι.jpg": "αθην",
        "صورة ٢٠٢٤.jpg": "صور 2024",
        "שָׁלוֹם.jpg": "שלום",
        "नमस्ते दुनिया.jpg": "दुनि",
        "กรุงเทพมหานคร.jpg": "เทพ",
        "北京大学.jpg": "大学",
        "ｶﾞﾗｽの城.jpg": "ガラス",
        "여름휴가.jpg": "휴가",
        "🎄👨‍👩‍👧.jpg": "👩 🎄",
    }
    await add(database, *(row(filename=name, search=search_of(name, None)) for name in searches))
    for name, query in searches.items():
        assert await names(client, q=query) == [name]
        assert await names(client, q=name) == [name]


async def test_an_image_is_found_by_its_camera_once_that_is_known(
    client: httpx.AsyncClient, upload: Upload, database: Database
) -> None:
    image = await upload(JPEG, "a.jpg")
    assert await names(client, q="fuji") == []
    async with database.write() as session:
        found = {"camera_make": "FUJIFILM", "taken_at": "2021-11-21T16:20:00"}
        await record_metadata(session, UUID(image["id"]), {**found})
    for query in ("fuji", "2021", "2021-11-21", "a fujifilm jpg"):
        assert await names(client, q=query) == ["a.jpg"]


async def test_images_of_one_type_are_listed(client: httpx.AsyncClient, upload: Upload) -> None:
    await upload(JPEG, "a.jpg")
    await upload(PNG, "b.png")
    assert await names(client, type="image/png") == ["b.png"]
    assert await names(client, type="image/png", q="b") == ["b.png"]
    assert await names(client, type="image/png", q="a") == []
    assert await names(client, type="image/gif") == []


@pytest.mark.parametrize(
    ("params", "found"),
    [
        ({"from": "2026-11-30"}, ["next", "last", "noon", "first"]),
        ({"to": "2026-11-30"}, ["last", "noon", "first", "before"]),
        ({"from": "2026-11-30", "to": "2026-11-30"}, ["last", "noon", "first"]),
        ({"from": "2026-11-30T12:00:00Z"}, ["next", "last", "noon"]),
        ({"from": "2026-11-30T12:00"}, ["next", "last", "noon"]),
        ({"from": "2026-11-30t13:00:00.000+01:00"}, ["next", "last", "noon"]),
        ({"to": "2026-11-30T12:00:00Z"}, ["first", "before"]),
        ({"from": "2026-12-02"}, []),
        ({"from": "2026-12-01", "to": "2026-11-30"}, []),
        ({"from": "0001-01-01T00:00:00+14:00", "to": "9999-12-31"}, ALL),
    ],
    ids=str,
)
async def test_times_bound_the_list_and_a_date_is_a_whole_day_in_utc(
    client: httpx.AsyncClient, database: Database, params: dict[str, str], found: list[str]
) -> None:
    day, microsecond = timedelta(days=1), timedelta(microseconds=1)
    await add(
        database,
        row(DAY - microsecond, filename="before"),
        row(DAY, filename="first"),
        row(DAY + day / 2, filename="noon"),
        row(DAY + day - microsecond, filename="last"),
        row(DAY + day, filename="next"),
    )
    assert await names(client, **params) == found


async def test_pages_of_a_search_follow_one_another_and_the_link_has_its_filters(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    for number in range(5):
        await upload(JPEG, f"Köln & Rhein {number}.jpg")
        await upload(PNG, f"other {number}.png")
    params = {"q": "köln &", "type": "image/jpeg", "from": "2020-01-01T00:00:00+01:00"}
    seen: list[str] = []
    url: Any = httpx.URL(IMAGES, params=params | {"limit": "2"})
    while url:
        response = await client.get(url)
        seen += [item["filename"] for item in response.json()["items"]]
        url = response.links.get("next", {}).get("url")
        if url:
            query = parse_qs(urlsplit(url).query)
            cursor = response.json()["next_cursor"]
            expected = params | {"limit": "2", "cursor": cursor}
            assert query == {name: [value] for name, value in expected.items()}
    assert seen == [f"Köln & Rhein {number}.jpg" for number in reversed(range(5))]


async def test_equal_bytes_are_found_by_their_checksum_page_by_page_and_counted(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    for number in range(3):
        await upload(JPEG, f"{number}.jpg")
        await upload(PNG, f"{number}.png")
    checksum = f"sha256:{sha256(JPEG).hexdigest()}"
    first = await client.get(IMAGES, params={"checksum": checksum, "limit": "2"})
    second = await client.get(first.links["next"]["url"])
    found = [item["filename"] for page in (first, second) for item in page.json()["items"]]
    assert found == ["2.jpg", "1.jpg", "0.jpg"]
    assert "next" not in second.links
    assert await names(client, checksum=checksum.upper().replace("SHA", "sha")) == found
    assert await names(client, checksum=checksum, q="1") == ["1.jpg"]
    assert await names(client, checksum=checksum, type="image/png") == []
    assert await names(client, checksum=f"sha256:{'0' * 64}") == []
    response = await client.get(f"{IMAGES}/count", params={"checksum": checksum})
    assert response.json() == {"count": 3, "exact": True}


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("q", "", "at least one letter"),
        ("q", "—…!", "at least one letter"),
        ("q", "x" * 256, "at most 255 char"),
        ("type", "image/tiff", "image/heic"),
        ("type", "", "image/heic"),
        ("checksum", "", "64 hexadecimal digits"),
        ("checksum", "0" * 64, "64 hexadecimal digits"),
        ("checksum", f"sha256:{'0' * 63}", "64 hexadecimal digits"),
        ("checksum", f"sha256:{'0' * 64}\n", "64 hexadecimal digits"),
        ("checksum", f"md5:{'0' * 64}", "64 hexadecimal digits"),
        ("from", "", "2026-11-01"),
        ("from", "yesterday", "2026-11-01"),
        ("from", "2026-02-30", "2026-11-01"),
        ("from", "1700000000", "2026-11-01"),
        ("to", "20261130", "2026-11-01"),
        ("to", "2026-11-30T12:00:00 01:00", "2026-11-01"),
        ("to", "2026-11-30T25:00:00Z", "2026-11-01"),
    ],
)
async def test_a_filter_that_means_nothing_is_named(
    client: httpx.AsyncClient, name: str, value: str, sentence: str
) -> None:
    response = await client.get(IMAGES, params={name: value})
    assert sentence in assert_problem(response, 422, "invalid-request")
    error = response.json()["errors"][0]
    assert (error["in"], error["field"]) == ("query", name)


async def test_what_a_list_has_is_counted_with_the_same_filters(
    client: httpx.AsyncClient, upload: Upload
) -> None:
    for number in range(3):
        await upload(JPEG, f"Köln {number}.jpg")
    await upload(PNG, "Köln.png")
    for params, expected in (
        ({}, 4),
        ({"q": "köln"}, 4),
        ({"q": "köln 1"}, 1),
        ({"type": "image/jpeg"}, 3),
        ({"q": "köln", "type": "image/png", "from": "2020-01-01"}, 1),
        ({"to": "2020-01-01"}, 0),
    ):
        response = await client.get(f"{IMAGES}/count", params=params)
        assert (response.status_code, response.json()) == (200, {"count": expected, "exact": True})
    response = await client.get(f"{IMAGES}/count", params={"q": "!"})
    assert_problem(response, 422, "invalid-request")


@pytest.mark.parametrize("params", [{}, {"q": "photo"}], ids=str)
async def test_no_more_than_so_many_are_counted(
    client: httpx.AsyncClient,
    upload: Upload,
    monkeypatch: pytest.MonkeyPatch,
    params: dict[str, str],
) -> None:
    monkeypatch.setattr(images, "MAX_COUNT", 2)
    counts = []
    for _ in range(3):
        await upload(JPEG)
        counts.append((await client.get(f"{IMAGES}/count", params=params)).json())
    exact = {"count": 2, "exact": True}
    assert counts == [exact | {"count": 1}, exact, exact | {"exact": False}]
