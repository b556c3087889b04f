"""A new name is the one under which files are saved, in every process."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import httpx

from app.services.images import REMEMBERED_SECONDS
from testkit.live import TIMEOUT
from testkit.service import IMAGES, Service, StartService, upload


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


@contextmanager
def connections_to_all_processes(service: Service) -> Iterator[list[httpx.Client]]:
    """Open a connection to each process, by stopping the others while it is accepted."""
    with ExitStack() as opened:
        clients: list[httpx.Client] = []
        for process in service.serving():
            others = [other for other in service.serving() if other != process]
            for other in others:
                other.suspend()
            try:
                client = opened.enter_context(httpx.Client(base_url=service.url, timeout=TIMEOUT))
                assert client.get("/health/live").is_success
            finally:
                for other in others:
                    other.resume()
            clients.append(client)
        assert len(clients) == 2
        yield clients


def saved_names(client: httpx.Client, image_id: str) -> set[str]:
    """Return the names that files of an image are saved under, whole and known already."""
    url = f"{IMAGES}/{image_id}/file?download=1"
    answers = [client.get(url), client.get(url, headers={"if-none-match": "*"})]
    assert [answer.status_code for answer in answers] == [200, 304]
    return {answer.headers["content-disposition"].split('"')[1] for answer in answers}
