"""Whatever a request is answered with 5xx for, one line of the log has its id, and the cause."""

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Final, NamedTuple

import httpx
import pytest
from sqlalchemy.engine import URL

from app.api.problems.kinds import KINDS
from app.composition.http_app import create_app
from app.services import thumbnails
from app.services.images import Images
from testkit import samples
from testkit.daemons import lasting_port
from testkit.database_proxy import DatabaseProxy
from testkit.faulty_disk import FaultyDisk
from testkit.host import Host, hosting
from testkit.live import TIMEOUT, serve, wait_until
from testkit.logs import Line, Log, logging_to
from testkit.problems import assert_problem
from testkit.settings import make_settings
from testkit.sockets import ask, head

JPEG = samples.jpeg()
IMAGES = "/api/v1/images"
ID = "4bf92f3577b34da6a3ce929d0e0e4736"
REFUSE = (
    "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION "
    "'could not extend file: No space left on device' USING ERRCODE = 'disk_full'; END$$"
)
REFUSED = "CREATE TRIGGER refused BEFORE INSERT ON images FOR EACH ROW {} EXECUTE FUNCTION refuse()"


class Scene(NamedTuple):
    """Where problems are caused."""

    host: Host
    proxy: DatabaseProxy
    """Before its database."""
    disk: FaultyDisk
    """Below its uploads."""
    monkeypatch: pytest.MonkeyPatch


class Caused(NamedTuple):
    """What came of it."""

    answer: httpx.Response
    words: str
    """That the line must have."""


Cause = Callable[[Scene], Caused]


@pytest.fixture
def log() -> Iterator[Log]:
    with logging_to() as log:
        yield log


@pytest.fixture
def scene(
    proxy: DatabaseProxy,
    database_url: URL,
    tmp_path: Path,
    disk: FaultyDisk,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Scene]:
    with hosting(make_settings(proxy.url, tmp_path / "data"), database_url) as host:
        yield Scene(host, proxy, disk, monkeypatch)


def defect(scene: Scene) -> Caused:
    """Replaced to raise, for nobody knows a defect of the program."""

    async def fail(*_: object) -> None:
        raise ZeroDivisionError("a secret of the inside")

    scene.monkeypatch.setattr(Images, "page", fail)
    return Caused(scene.host.client.get(IMAGES), "ZeroDivisionError: a secret of the inside")


def damage(scene: Scene) -> Caused:
    image = scene.host.upload(JPEG).json()
    key = image["storage_key"]
    (scene.host.images / key[:2] / key).unlink()
    return Caused(
        scene.host.client.get(image["url"]), f"its file {key} in {scene.host.images} is missing"
    )


def storage_away(scene: Scene) -> Caused:
    shutil.move(scene.host.images, scene.host.images.with_name("aside"))
    wait_until(lambda: not scene.host.client.get("/health/ready").is_success)
    return Caused(scene.host.client.get("/health/ready"), str(scene.host.images))


def no_worker(scene: Scene) -> Caused:
    scene.monkeypatch.setattr(thumbnails, "WAIT_SECONDS", 0.3)
    image = scene.host.upload(JPEG).json()
    answer = scene.host.client.get(f"{IMAGES}/{image['id']}/thumbnails/300")
    return Caused(answer, f"image {image['id']}: no worker has rendered it")


def connection_cut(scene: Scene) -> Caused:
    assert scene.host.client.get(IMAGES).is_success
    scene.proxy.cut("SELECT", "after")
    return Caused(scene.host.client.get(IMAGES), f"127.0.0.1:{scene.proxy.port}: ")


def database_full(scene: Scene) -> Caused:
    scene.host.execute(REFUSE, REFUSED.format(""))
    try:
        answer = scene.host.upload(JPEG)
    finally:
        scene.host.execute("DROP FUNCTION refuse CASCADE")
    return Caused(
        answer, f"127.0.0.1:{scene.proxy.port}: could not extend file: No space left on device"
    )


def disk_error(scene: Scene) -> Caused:
    with scene.disk.failing("fsync of file", errno.EIO):
        return Caused(scene.host.upload(JPEG), f"(EIO): {scene.host.images}/")


def disk_full(scene: Scene) -> Caused:
    with scene.disk.failing("fsync of file", errno.ENOSPC):
        return Caused(scene.host.upload(JPEG), f"(ENOSPC): {scene.host.images}/")


CAUSES: Final[dict[str, Cause]] = {
    "internal-error": defect,
    "image-damaged": damage,
    "not-ready": storage_away,
    "thumbnail-not-ready": no_worker,
    "database-unavailable": connection_cut,
    "storage-unavailable": disk_error,
    "database-full": database_full,
    "storage-full": disk_full,
}
ELSEWHERE: Final = {
    "too-many-connections",  # below
    "no-answer",  # of nginx, whose own log has it: test_front_log.py
}


def line_of(log: Log, answer: httpx.Response) -> Line:
    """Return the only line of a request, besides that of the access log."""
    [line] = log.of_request(answer.headers["x-request-id"])
    return line


def test_every_kind_of_5xx_is_caused_here() -> None:
    assert {kind.slug for kind in KINDS if kind.status >= 500} == {*CAUSES, *ELSEWHERE}


@pytest.mark.parametrize("slug", CAUSES)
def test_one_line_with_the_id_of_the_request_names_the_cause(
    scene: Scene, log: Log, slug: str
) -> None:
    answer, words = CAUSES[slug](scene)
    assert_problem(answer, answer.status_code, slug)
    assert answer.status_code >= 500
    line = line_of(log, answer)
    assert line["message"].startswith(f"{slug}: ")
    assert words in line["message"]
    assert ("Traceback" in line.get("trace", "")) == (slug == "internal-error")


@pytest.mark.parametrize("trusted", [True, False])
def test_a_refusal_for_too_many_connections_has_an_id_too_or_that_of_a_trusted_proxy(
    database_url: URL, tmp_path: Path, log: Log, trusted: bool
) -> None:
    proxies = {"trusted_proxies": "127.0.0.1"} if trusted else {}
    settings = make_settings(database_url, tmp_path / "data", **proxies)
    request = head(f"{IMAGES}?", f"X-Request-ID: {ID}").replace(b"POST", b"GET")
    with serve(create_app(settings), max_connections=1) as server, ExitStack() as clients:
        busy = clients.enter_context(server.connect())
        busy.sendall(head(f"{IMAGES}/upload", "Content-Length: 5"))
        wait_until(lambda: server.state.tasks)
        answer = ask(server, request)
    assert answer.startswith(b"HTTP/1.1 503 ")
    fields = dict(line.split(b": ", 1) for line in answer.split(b"\r\n\r\n")[0].split(b"\r\n")[1:])
    refused_id = {name.lower(): value for name, value in fields.items()}[b"x-request-id"].decode()
    assert (refused_id == ID) == trusted
    [line] = log.of_request(refused_id)
    assert "127.0.0.1: too-many-connections: as many as MAX_CONNECTIONS" in line["message"]


def test_an_unreachable_database_is_named_with_its_address(tmp_path: Path, log: Log) -> None:
    port = lasting_port()
    url = URL.create("postgresql", "nobody", host="127.0.0.1", port=port, database="none")
    with (
        serve(create_app(make_settings(url, tmp_path / "data"))) as server,
        httpx.Client(base_url=server.url, timeout=TIMEOUT) as client,
    ):
        answer = client.get(IMAGES)
    assert_problem(answer, 503, "database-unavailable")
    assert f"127.0.0.1:{port}: " in line_of(log, answer)["message"]


@pytest.mark.parametrize("is_alone", [True, False])
def test_a_file_of_a_batch_that_fails_has_its_line_whatever_the_others_do(
    scene: Scene, log: Log, is_alone: bool
) -> None:
    host = scene.host
    host.execute(REFUSE, REFUSED.format("WHEN (NEW.filename = 'b.jpg')"))
    try:
        files = [("b.jpg", JPEG)] if is_alone else [("a.jpg", JPEG), ("b.jpg", JPEG)]
        answer = host.batch(*files)
    finally:
        host.execute("DROP FUNCTION refuse CASCADE")
    assert answer.status_code == (507 if is_alone else 207)
    assert line_of(log, answer)["message"].startswith("database-full: ")
