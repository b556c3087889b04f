"""Images that a wrong clock dated ahead: they are served and listed like the others."""

from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from testkit import samples
from testkit.host import Host, hosting
from testkit.settings import make_settings

DATES = ("last-modified", "date")


@pytest.fixture
def host(database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with hosting(make_settings(database_url, tmp_path / "data"), database_url) as host:
        yield host


def upload_dated(host: Host, ahead: str) -> str:
    image_id: str = host.upload(samples.jpeg()).json()["id"]
    host.execute(
        f"UPDATE images SET created_at = now() + interval '{ahead}' WHERE id = '{image_id}'"  # noqa: S608
    )
    return image_id


def get(host: Host, image_id: str, **headers: str) -> httpx.Response:
    fields = {name.replace("_", "-"): value for name, value in headers.items()}
    return host.client.get(f"/api/v1/images/{image_id}/file", headers=fields)


@pytest.mark.parametrize("ahead", ["1 minute", "1 year"])
def test_last_modified_is_never_later_than_the_date_of_the_answer(host: Host, ahead: str) -> None:
    image_id = upload_dated(host, ahead)
    first = get(host, image_id)
    for answer in (
        first,
        get(host, image_id),
        get(host, image_id, range="bytes=0-9"),
        get(host, image_id, if_none_match=first.headers["etag"]),
        host.client.head(f"/api/v1/images/{image_id}/file"),
    ):
        dates = {name: parsedate_to_datetime(answer.headers[name]) for name in DATES}
        assert dates["last-modified"] <= dates["date"]
    assert answer.status_code == 200


def test_a_copy_is_still_known_by_its_etag(host: Host) -> None:
    image_id = upload_dated(host, "1 year")
    etag = get(host, image_id).headers["etag"]
    assert get(host, image_id, if_none_match=etag).status_code == 304
    assert get(host, image_id, if_match=etag).status_code == 200
    assert get(host, image_id, range="bytes=0-9", if_range=etag).status_code == 206


def test_pages_show_images_dated_ahead_once_and_hide_no_other(host: Host) -> None:
    expected = {upload_dated(host, ahead) for ahead in ("1 year", "1 minute", "1 minute", "0")}
    shown: list[str] = []
    query = "limit=1"
    while query:
        page = host.client.get(f"/api/v1/images?{query}").json()
        shown += [item["id"] for item in page["items"]]
        query = page["next_cursor"] and f"limit=1&cursor={page['next_cursor']}"
    assert len(shown) == 4
    assert set(shown) == expected
