"""Two nginx before two services over one database and folder: what was deleted is gone from all."""

import http.client
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from testkit import samples
from testkit.front import Front, front
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_nginx
from testkit.service import IMAGES, Service, StartService, upload

pytestmark = needs_nginx

JPEG = samples.jpeg(64, 48)
ONE_BY_ONE = 120
IN_BATCHES = 120
BATCH = 10
AT_ONCE = 12
"""Deletes in progress."""


class Client:
    """Keeps a connection to each server."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT) for port in ports
        ]

    def ask(self, paths: Sequence[str]) -> Counter[int]:
        """Ask all servers for all paths; count the statuses."""
        statuses = Counter[int]()
        for connection in self._connections:
            for path in paths:
                connection.request("GET", path)
                answer = connection.getresponse()
                answer.read()
                statuses[answer.status] += 1
        return statuses

    def close(self) -> None:
        for connection in self._connections:
            connection.close()


@dataclass
class Site:
    services: list[Service]
    fronts: list[Front]

    @property
    def ports(self) -> list[int]:
        return [
            *(one.port for one in self.fronts),
            *(port_of(service) for service in self.services),
        ]

    @contextmanager
    def read_all_the_while(self, paths: Sequence[str]) -> Iterator[None]:
        """Let a client ask both nginx for files, often enough that these have leases of all."""
        are_cached, stop = threading.Event(), threading.Event()

        def read() -> None:
            with closing(Client([one.port for one in self.fronts])) as client:
                while not stop.is_set():
                    client.ask(paths)
                    are_cached.set()
                    time.sleep(0.05)

        with ThreadPoolExecutor(1) as readers:
            reading = readers.submit(read)
            try:
                assert are_cached.wait(TIMEOUT)
                yield
            finally:
                stop.set()
                reading.result(TIMEOUT)


def port_of(service: Service) -> int:
    return int(service.url.rpartition(":")[2])


def paths_of(image: dict[str, Any]) -> list[str]:
    return [f"{IMAGES}/{image['id']}/file", f"{IMAGES}/{image['id']}/thumbnails/150"]


@pytest.fixture
def site(start: StartService, database_url: URL, tmp_path: Path) -> Iterator[Site]:
    address = f"DATABASE_URL={database_url.render_as_string(hide_password=False)}"
    # What a client does between two requests may take longer than connections are kept by default.
    behind = (address, "FRONT=nginx", "TRUSTED_PROXIES=127.0.0.1", "KEEP_ALIVE_SECONDS=600")
    services = [start(*behind, "WORKER_PROCESSES=1"), start(*behind)]
    for service in services:
        service.wait_until_it_serves()
    ports = [port_of(service) for service in services]
    images = services[0].data_dir / "images"
    with ExitStack() as opened:
        folders = (tmp_path / "first", tmp_path / "second")
        fronts = [opened.enter_context(front(folder, ports, images)) for folder in folders]
        yield Site(services, fronts)


def test_no_server_sends_a_file_or_a_thumbnail_after_the_answer_to_its_delete(site: Site) -> None:
    with ThreadPoolExecutor(AT_ONCE) as clients:
        some = range(ONE_BY_ONE + IN_BATCHES)
        images = list(clients.map(lambda number: upload(site.services[number % 2], JPEG), some))
    site.services[0].wait_until_rendered()
    thumbnails = [paths_of(image)[1] for image in images]
    with closing(Client(site.ports)) as client:
        wait_until(lambda: set(client.ask(thumbnails)) == {200})

    def delete(number: int, group: list[dict[str, Any]]) -> Counter[int]:
        paths = [path for image in group for path in paths_of(image)]
        url = f"{site.fronts[number % 2].url}{IMAGES}"
        with closing(Client(site.ports)) as client, site.read_all_the_while(paths):
            assert set(client.ask(paths)) == {200}
            if len(group) == 1:
                assert httpx.delete(f"{url}/{group[0]['id']}").status_code == 204
            else:
                ids = {"ids": [image["id"] for image in group]}
                answer = httpx.post(f"{url}/batch-delete", json=ids).json()
                assert len(answer["deleted"]) == len(group)
            return client.ask(paths)

    single, rest = images[:ONE_BY_ONE], images[ONE_BY_ONE:]
    groups = [[image] for image in single]
    groups += [rest[first : first + BATCH] for first in range(0, len(rest), BATCH)]
    with ThreadPoolExecutor(AT_ONCE) as clients:
        statuses = sum(clients.map(delete, range(len(groups)), groups), Counter[int]())
    assert statuses == {404: 2 * len(site.ports) * len(images)}


def test_no_server_sends_a_file_or_a_thumbnail_after_the_answer_that_it_is_private(
    site: Site,
) -> None:
    """Nor says that there is none after the answer that it is public again."""
    with ThreadPoolExecutor(AT_ONCE) as clients:
        images = list(
            clients.map(lambda number: upload(site.services[number % 2], JPEG), range(AT_ONCE))
        )
    site.services[0].wait_until_rendered()

    def change(number: int, image: dict[str, Any]) -> Counter[tuple[bool, int]]:
        paths, found = paths_of(image), Counter[tuple[bool, int]]()
        url = f"{site.fronts[number % 2].url}{IMAGES}/{image['id']}"
        with closing(Client(site.ports)) as client, site.read_all_the_while(paths):
            for is_public in (False, True, False):
                answer = httpx.patch(url, json={"is_public": is_public}, timeout=TIMEOUT)
                assert answer.json()["is_public"] == is_public
                for status, count in client.ask(paths).items():
                    found[is_public, status] += count
        return found

    with ThreadPoolExecutor(AT_ONCE) as clients:
        found = sum(clients.map(change, range(AT_ONCE), images), Counter[tuple[bool, int]]())
    each = 2 * len(site.ports) * AT_ONCE
    assert found == {(False, 404): 2 * each, (True, 200): each}


def test_all_servers_show_another_name_when_leases_are_over(site: Site) -> None:
    image = upload(site.services[0], JPEG)
    paths = paths_of(image)[:1]

    def names() -> set[str]:
        return {
            httpx.head(f"http://127.0.0.1:{port}{paths[0]}").headers["content-disposition"]
            for port in site.ports
        }

    with site.read_all_the_while(paths):
        for name in ("a.jpg", "b.jpg"):
            url = f"{site.fronts[0].url}{IMAGES}/{image['id']}"
            assert httpx.patch(url, json={"filename": name}).status_code == 200
            wait_until(lambda name=name: names() == {f'inline; filename="{name}"'})  # type: ignore[misc]


def test_nginx_killed_and_started_over_its_cache_serves_nothing_deleted_in_between(
    site: Site,
) -> None:
    image = upload(site.services[0], JPEG)
    path = paths_of(image)[0]
    killed = site.fronts[0]
    assert httpx.get(f"{killed.url}{path}").content == JPEG
    for process in reversed(processes_of(killed)):  # else the first would start another
        process.kill()
    killed.process.wait(TIMEOUT)
    assert httpx.delete(f"{site.services[0].url}{IMAGES}/{image['id']}").status_code == 204
    ports = [port_of(service) for service in site.services]
    with front(killed.folder, ports, site.services[0].data_dir / "images") as again:
        assert any(file.is_file() for file in (killed.folder / "cache").rglob("*"))
        assert httpx.get(f"{again.url}{path}").status_code == 404


def test_nginx_that_was_stopped_answers_with_nothing_that_was_deleted_in_between(
    site: Site,
) -> None:
    """Also what was asked before it was stopped, or while it was."""
    image = upload(site.services[0], JPEG)
    path = paths_of(image)[0]
    stopped = site.fronts[0]
    assert httpx.get(f"{stopped.url}{path}").content == JPEG
    for process in processes_of(stopped):
        process.suspend()
    with ThreadPoolExecutor(20) as clients:
        waiting = [clients.submit(httpx.get, f"{stopped.url}{path}") for _ in range(20)]
        deleted = httpx.delete(f"{site.services[1].url}{IMAGES}/{image['id']}", timeout=TIMEOUT)
        for process in processes_of(stopped):
            process.resume()
        assert deleted.status_code == 204
        assert {answer.result(TIMEOUT).status_code for answer in waiting} == {404}


def test_a_service_that_was_stopped_renews_no_lease_of_what_was_deleted_in_between(
    site: Site,
) -> None:
    image = upload(site.services[0], JPEG)
    path = paths_of(image)[0]
    ports = [port_of(site.services[0])]
    folder = site.fronts[0].folder.parent / "third"
    with front(folder, ports, site.services[0].data_dir / "images") as only:
        assert httpx.get(f"{only.url}{path}").content == JPEG
        serving = site.services[0].serving()
        for process in serving:
            process.send_signal(signal.SIGSTOP)
        try:
            with ThreadPoolExecutor(1) as clients:
                other = f"{site.services[1].url}{IMAGES}/{image['id']}"
                deleting = clients.submit(httpx.delete, other, timeout=TIMEOUT)
                assert deleting.result().status_code == 204
                waiting = clients.submit(httpx.get, f"{only.url}{path}", timeout=TIMEOUT)
                with pytest.raises(httpx.ReadTimeout):  # no stale answer, and none at all
                    httpx.get(f"{only.url}{path}", timeout=1)
                for process in serving:
                    process.send_signal(signal.SIGCONT)
                assert waiting.result(TIMEOUT).status_code == 404
        finally:
            for process in serving:
                process.send_signal(signal.SIGCONT)


def processes_of(running: Front) -> list[psutil.Process]:
    """List the processes of nginx, the one that starts the others last."""
    main = psutil.Process(running.process.pid)
    return [*main.children(), main]
