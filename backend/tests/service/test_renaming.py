"""A new name is the one under which files are saved, in every process."""

import time

import httpx

from app.services.images import REMEMBERED_SECONDS
from testkit.service import IMAGES, StartService, connections_to_all_processes, upload


def test_every_process_saves_a_renamed_image_under_its_new_name_within_two_seconds(
    start: StartService,
) -> None:
    service = start("WORKERS=2").wait_until_it_serves()
    image = upload(service, filename="old.jpg")
    with connections_to_all_processes(service) as clients:
        for client in clients:
            assert saved_names(client, image["id"]) == {"old.jpg"}
        path = f"{IMAGES}/{image['id']}"
        assert clients[0].patch(path, json={"filename": "new.jpg"}).status_code == 200
        renamed = time.monotonic()
        while time.monotonic() - renamed <= REMEMBERED_SECONDS:
            for client in clients:
                assert saved_names(client, image["id"]) <= {"old.jpg", "new.jpg"}
        for client in clients:
            assert saved_names(client, image["id"]) == {"new.jpg"}


def saved_names(client: httpx.Client, image_id: str) -> set[str]:
    """Return the names that files of an image are saved under, whole and known already."""
    url = f"{IMAGES}/{image_id}/file?download=1"
    answers = [client.get(url), client.get(url, headers={"if-none-match": "*"})]
    assert [answer.status_code for answer in answers] == [200, 304]
    return {answer.headers["content-disposition"].split('"')[1] for answer in answers}
