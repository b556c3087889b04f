"""A database that refuses, breaks off, hangs or restarts: what clients get, and what is left."""

import asyncio
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.engine import URL

from app.database import engine as database_module
from app.database.embedded import embedded_postgres
from app.database.engine import CONNECTIONS, Database
from app.services import readiness
from testkit import samples
from testkit.database_proxy import Cut, DatabaseProxy
from testkit.databases import prepare
from testkit.host import Host, hosting
from testkit.live import TIMEOUT, wait_until
from testkit.problems import assert_problem
from testkit.processes import postmaster
from testkit.service import StartService, upload
from testkit.settings import make_settings

JPEG = samples.jpeg()
LARGE = samples.sized_jpeg(1_000_000)


@pytest.fixture
def host(proxy: DatabaseProxy, database_url: URL, tmp_path: Path) -> Iterator[Host]:
    with hosting(make_settings(proxy.url, tmp_path / "data"), database_url) as host:
        yield host


@pytest.fixture
def short_timeouts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give up sooner than is wise, to save time."""
    for name in ("POOL_TIMEOUT", "CONNECT_TIMEOUT", "COMMAND_TIMEOUT"):
        monkeypatch.setattr(database_module, name, 5.0)


REFUSALS = {
    "constraint": "ALTER TABLE images ADD CONSTRAINT refused CHECK (filename <> 'refused.jpg')",
    "trigger": "CREATE TRIGGER refused BEFORE INSERT ON images FOR EACH ROW "
    "WHEN (NEW.filename = 'refused.jpg') EXECUTE FUNCTION refuse()",
}


@pytest.fixture(params=REFUSALS)
def host_that_refuses(request: pytest.FixtureRequest, host: Host) -> Iterator[Host]:
    """Let the database refuse a row, if its file is named so."""
    host.execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
        "$$BEGIN RAISE EXCEPTION 'not this one'; END$$",
        REFUSALS[request.param],
    )
    yield host
    host.execute(
        "ALTER TABLE images DROP CONSTRAINT IF EXISTS refused", "DROP FUNCTION refuse CASCADE"
    )


def test_the_file_of_a_row_that_the_database_refuses_is_discarded(host_that_refuses: Host) -> None:
    host = host_that_refuses
    for content in (JPEG, LARGE):
        assert_problem(host.upload(content, "refused.jpg"), 500, "internal-error")
    host.assert_keeps(rows=0, files=0)
    assert host.upload(JPEG).status_code == 201


def test_a_batch_reports_the_other_files_where_one_row_is_refused(
    host_that_refuses: Host,
) -> None:
    host = host_that_refuses
    answer = host.batch(("a.jpg", JPEG), ("refused.jpg", LARGE), ("b.jpg", JPEG))
    assert answer.status_code == 207, answer.text
    assert [item["filename"] for item in answer.json()["uploaded"]] == ["a.jpg", "b.jpg"]
    assert [(item["filename"], item["status"]) for item in answer.json()["failed"]] == [
        ("refused.jpg", 500)
    ]
    host.assert_keeps(rows=2, files=2)
    assert_problem(host.batch(("refused.jpg", JPEG)), 500, "internal-error")


@pytest.mark.parametrize("content", [JPEG, LARGE], ids=["small", "large"])
@pytest.mark.parametrize(("when", "rows"), [("before", 0), ("after", 1)])
def test_an_upload_cut_off_at_commit_keeps_its_file_whatever_became_of_the_row(
    host: Host, proxy: DatabaseProxy, content: bytes, when: Cut, rows: int
) -> None:
    proxy.cut("COMMIT", when)
    assert_problem(host.upload(content), 503, "database-unavailable")
    assert proxy.cuts == 1
    host.assert_keeps(rows=rows, files=1)
    assert [host.download(image_id) for image_id in host.stored_ids()] == [content] * rows
    assert host.upload(content).status_code == 201


@pytest.mark.parametrize(("when", "rows"), [("before", 1), ("after", 2)])
def test_a_batch_cut_off_at_its_first_commit_stores_the_rest(
    host: Host, proxy: DatabaseProxy, when: Cut, rows: int
) -> None:
    proxy.cut("COMMIT", when)
    answer = host.batch(("a.jpg", LARGE), ("b.jpg", JPEG))
    assert answer.status_code == 207
    assert [item["status"] for item in answer.json()["failed"]] == [503]
    assert [host.download(item["id"]) for item in answer.json()["uploaded"]] == [JPEG]
    host.assert_keeps(rows=rows, files=2)
    assert [host.download(image_id) for image_id in host.stored_ids()] == [LARGE, JPEG][-rows:]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("statement", ["BEGIN", "WITH stored"])
def test_an_upload_cut_off_before_its_commit_is_discarded(
    host: Host, proxy: DatabaseProxy, statement: str, when: Cut
) -> None:
    for number, content in enumerate((JPEG, LARGE), start=1):
        proxy.cut(statement, when)
        assert_problem(host.upload(content), 503, "database-unavailable")
        assert proxy.cuts == number
    host.assert_keeps(rows=0, files=0)
    assert host.upload(JPEG).status_code == 201


@pytest.mark.parametrize(
    ("statement", "when", "left"),
    [
        ("DELETE", "before", 1),
        ("DELETE", "after", 1),
        ("COMMIT", "before", 1),
        ("COMMIT", "after", 0),
    ],
)
def test_a_delete_cut_off_anywhere_never_removes_the_file_of_a_row_that_stays(
    host: Host, proxy: DatabaseProxy, statement: str, when: Cut, left: int
) -> None:
    image = host.upload(JPEG).json()
    proxy.cut(statement, when)
    assert_problem(host.delete(image["id"]), 503, "database-unavailable")
    assert proxy.cuts == 1
    host.assert_keeps(rows=left, files=1)
    if left:
        assert host.download(image["id"]) == JPEG
        assert host.delete(image["id"]).status_code == 204
        host.assert_keeps(rows=0, files=0)
    else:
        assert_problem(host.delete(image["id"]), 404, "image-not-found")


@pytest.mark.parametrize(
    ("statement", "when", "left"),
    [("DELETE", "after", 3), ("COMMIT", "before", 3), ("COMMIT", "after", 0)],
)
def test_a_batch_delete_cut_off_anywhere_deletes_all_rows_or_none_and_keeps_the_files(
    host: Host, proxy: DatabaseProxy, statement: str, when: Cut, left: int
) -> None:
    ids = [host.upload(JPEG).json()["id"] for _ in range(3)]
    proxy.cut(statement, when)
    assert_problem(host.delete_batch(*ids), 503, "database-unavailable")
    assert proxy.cuts == 1
    host.assert_keeps(rows=left, files=3)
    assert host.delete_batch(*ids).json()["deleted"] == ids[:left]
    host.assert_keeps(rows=0, files=3 - left)


@pytest.mark.parametrize(
    ("statement", "when", "name"),
    [
        ("SELECT", "after", "old.jpg"),
        ("UPDATE", "after", "old.jpg"),
        ("COMMIT", "before", "old.jpg"),
        ("COMMIT", "after", "new.jpg"),
    ],
)
def test_a_renaming_cut_off_anywhere_leaves_the_old_name_or_the_new_one(
    host: Host, proxy: DatabaseProxy, statement: str, when: Cut, name: str
) -> None:
    image = host.upload(JPEG, "old.jpg").json()
    proxy.cut(statement, when)
    assert_problem(host.rename(image["id"], "new.jpg"), 503, "database-unavailable")
    assert proxy.cuts == 1
    (listed,) = host.client.get("/api/v1/images", params={"q": name}).json()["items"]
    assert listed["filename"] == name
    assert (listed["updated_at"] == image["updated_at"]) == (name == "old.jpg")
    assert host.rename(image["id"], "newer.jpg").json()["filename"] == "newer.jpg"


def test_a_read_cut_off_succeeds_the_next_time(
    host: Host, proxy: DatabaseProxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(readiness, "PROBE_INTERVAL", 3600)
    assert host.client.get("/health/ready").is_success  # so that no other probe meets a cut
    image = host.upload(JPEG).json()
    for path in (f"/{image['id']}", f"/{image['id']}/file", ""):
        proxy.cut("SELECT", "after")
        answer = host.client.get(f"/api/v1/images{path}")
        assert_problem(answer, 503, "database-unavailable")
        assert host.client.get(f"/api/v1/images{path}").status_code == 200
    assert proxy.cuts == 3


def test_a_slow_database_delays_responses_and_nothing_else(
    host: Host, proxy: DatabaseProxy
) -> None:
    proxy.delay = 0.1
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(host.upload, [JPEG] * 8))
        assert [answer.status_code for answer in answers] == [201] * 8
        ids = [answer.json()["id"] for answer in answers]
        assert list(pool.map(host.download, ids)) == [JPEG] * 8
        assert {answer.status_code for answer in pool.map(host.delete, ids[:4])} == {204}
    host.assert_keeps(rows=4, files=4)


def test_a_database_that_hangs_costs_503_within_the_deadline_and_leaves_nothing(
    short_timeouts: None, host: Host, proxy: DatabaseProxy
) -> None:
    """More requests than connections: some hang on a statement, the rest waits for a connection."""
    image = host.upload(JPEG).json()
    requests: list[Callable[[], httpx.Response]] = [
        lambda: host.upload(JPEG),
        lambda: host.upload(LARGE),
        lambda: host.delete(image["id"]),
        lambda: host.client.get(image["url"]),
    ] * CONNECTIONS
    proxy.hold()
    with ThreadPoolExecutor(len(requests)) as pool:
        begin = time.monotonic()
        hanging = [pool.submit(request) for request in requests]
        assert host.client.get("/health/live").status_code == 200
        for answer in hanging:
            assert_problem(answer.result(), 503, "database-unavailable")
        assert time.monotonic() - begin < TIMEOUT
    assert_problem(host.client.get("/health/ready"), 503, "not-ready")
    proxy.release()
    wait_until(lambda: host.client.get("/health/ready").status_code == 200)
    host.assert_keeps(rows=1, files=1)
    assert host.download(image["id"]) == JPEG
    with ThreadPoolExecutor(CONNECTIONS) as pool:
        for response in pool.map(host.upload, [JPEG] * CONNECTIONS):
            assert response.status_code == 201


def test_a_database_that_hangs_at_commit_keeps_the_file_for_the_row_that_may_come(
    short_timeouts: None, host: Host, proxy: DatabaseProxy
) -> None:
    proxy.hold_at("COMMIT")
    assert_problem(host.upload(JPEG), 503, "database-unavailable")
    host.assert_keeps(rows=0, files=1)
    proxy.release()  # and now the COMMIT arrives
    wait_until(lambda: host.client.get("/health/ready").status_code == 200)
    host.assert_sound()
    assert len(list(host.images.glob("??/*"))) == 1


def test_connections_that_a_network_drops_silently_fail_one_round_of_requests(
    short_timeouts: None, host: Host, proxy: DatabaseProxy
) -> None:
    """More of them than a client would try again for."""
    image = host.upload(JPEG).json()
    requests: list[Callable[[], httpx.Response]] = [
        lambda: host.upload(JPEG),
        lambda: host.client.get("/api/v1/images"),
        lambda: host.client.get(f"/api/v1/images/{image['id']}"),
        lambda: host.delete(str(UUID(int=0))),
    ]
    with ThreadPoolExecutor(4 * CONNECTIONS) as users:
        every_connection = [users.submit(request) for request in requests * CONNECTIONS]
        assert {answer.result().status_code for answer in every_connection} == {200, 201, 404}
    proxy.drop()
    assert_problem(requests[1](), 503, "database-unavailable")
    for request in requests * 3:
        assert request().status_code in {200, 201, 404}
    host.assert_sound()


def test_a_primary_that_became_read_only_is_abandoned_for_the_new_one(tmp_path: Path) -> None:
    """Behind one address, as in a cloud's failover; the old one lives on and answers reads."""
    with (
        embedded_postgres(tmp_path / "old") as old,
        embedded_postgres(tmp_path / "new") as new,
        DatabaseProxy(old).running() as proxy,
    ):
        for url in (old, new):
            asyncio.run(prepare(url))
        with (
            hosting(make_settings(proxy.url, tmp_path / "data"), old) as host,
            ThreadPoolExecutor(CONNECTIONS) as users,
        ):
            assert {answer.status_code for answer in users.map(host.upload, [JPEG] * 20)} == {201}
            host.execute(
                "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
            )
            wait_until(lambda: host.upload(JPEG).status_code == 503)
            assert_problem(host.upload(JPEG), 503, "database-unavailable")
            proxy.lead_to(new)
            image = host.upload(JPEG)
            assert image.status_code == 201, image.text
            for _ in range(CONNECTIONS + 1):
                (listed,) = host.client.get("/api/v1/images").json()["items"]
                assert listed["id"] == image.json()["id"]
            assert host.delete(image.json()["id"]).status_code == 204


def test_readiness_abandons_a_primary_that_became_read_only_for_the_new_one(
    tmp_path: Path,
) -> None:
    """Also where nobody uploads, and the old one answers the reads of all."""
    with (
        embedded_postgres(tmp_path / "old") as old,
        embedded_postgres(tmp_path / "new") as new,
        DatabaseProxy(old).running() as proxy,
    ):
        for url in (old, new):
            asyncio.run(prepare(url))
        with hosting(make_settings(proxy.url, tmp_path / "data"), old) as host:
            assert host.upload(JPEG).status_code == 201
            host.execute(
                "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
            )
            wait_until(lambda: host.client.get("/health/ready").status_code == 503)
            assert len(host.client.get("/api/v1/images").json()["items"]) == 1
            proxy.lead_to(new)
            wait_until(lambda: host.client.get("/health/ready").status_code == 200)
            assert host.client.get("/api/v1/images").json()["items"] == []


@pytest.mark.parametrize("timeout", ["lock_timeout", "statement_timeout"])
def test_a_timeout_of_the_server_is_reported_and_the_file_discarded(
    database_url: URL, tmp_path: Path, timeout: str
) -> None:
    url = database_url.update_query_dict({"options": f"-c {timeout}=1s"})
    with (
        hosting(make_settings(url, tmp_path / "data"), database_url) as host,
        asyncio.Runner() as runner,
    ):
        migration = Database(database_url).maintain()
        connection = runner.run(migration.__aenter__())
        runner.run(connection.execute(text("LOCK TABLE images")))
        assert_problem(host.upload(JPEG), 503, "database-unavailable")
        assert_problem(host.client.get("/api/v1/images"), 503, "database-unavailable")
        runner.run(migration.__aexit__(None, None, None))
        host.assert_keeps(rows=0, files=0)
        assert host.upload(JPEG).status_code == 201


EXPECTED_UNDER_LOAD = {
    *(("upload", status) for status in (201, 503)),
    *(("download", status) for status in (200, 503)),
    *(("delete", status) for status in (204, 503)),
}


class Load:
    """Users who upload, look at what they have uploaded, and delete every third."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._sizes = itertools.count(100_000)
        self._over = threading.Event()
        self.statuses: set[tuple[str, int]] = set()
        self.acknowledged: dict[str, bytes] = {}
        self.deleted: list[str] = []

    @contextmanager
    def running(self, users: int) -> Iterator["Load"]:
        with ThreadPoolExecutor(users) as pool:
            at_work = [pool.submit(self._use) for _ in range(users)]
            try:
                yield self
            finally:
                self._over.set()
                for user in at_work:
                    user.result()

    def wait_for_ten_more(self) -> None:
        enough = len(self.acknowledged) + 10
        wait_until(lambda: len(self.acknowledged) >= enough)

    def wait_for_a_failure(self) -> None:
        self.statuses.clear()
        wait_until(lambda: ("upload", 503) in self.statuses)

    def _use(self) -> None:
        while not self._over.is_set():
            size = next(self._sizes)
            content = samples.sized_jpeg(size)
            answer = self._noted("upload", self._host.upload(content))
            if answer.is_success:
                image_id = answer.json()["id"]
                look = self._noted("download", self._host.client.get(answer.json()["url"]))
                assert look.content == content or not look.is_success
                if size % 3:
                    self.acknowledged[image_id] = content
                elif self._noted("delete", self._host.delete(image_id)).is_success:
                    self.deleted.append(image_id)

    def _noted(self, kind: str, answer: httpx.Response) -> httpx.Response:
        assert (kind, answer.status_code) in EXPECTED_UNDER_LOAD, answer.text
        self.statuses.add((kind, answer.status_code))
        return answer


def test_a_database_that_restarts_under_load_costs_503_and_no_image(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        asyncio.run(prepare(url))
    with hosting(make_settings(url, tmp_path / "data"), url) as host, ExitStack() as last:
        with Load(host).running(users=8) as load:
            for _ in range(3):
                with embedded_postgres(folder):
                    load.wait_for_ten_more()
                load.wait_for_a_failure()
            last.enter_context(embedded_postgres(folder))
            load.wait_for_ten_more()
        host.assert_sound()
        for image_id, content in load.acknowledged.items():
            assert host.download(image_id) == content
        assert not {*load.deleted} & {*host.stored_ids()}
        wait_until(lambda: host.client.get("/health/ready").status_code == 200)


@pytest.mark.parametrize("workers", [1, 2])
def test_an_embedded_database_that_is_killed_is_back_by_itself_with_every_image(
    start: StartService, workers: int
) -> None:
    service = start(f"WORKERS={workers}").wait_until_it_serves()
    before = upload(service)
    folder = service.data_dir / "postgres"
    postmaster(folder).kill()
    answers: list[httpx.Response] = []

    def until(status: int, method: str, path: str, **request: Any) -> Any:
        """Ask until it is answered so; each process has to find out that the database is back."""

        def is_answered() -> bool:
            url = f"{service.url}/api/v1/images{path}"
            answers.append(httpx.request(method, url, timeout=TIMEOUT, **request))
            return answers[-1].status_code == status

        wait_until(is_answered)
        return answers[-1].json()

    after = until(201, "POST", "/upload", files={"file": ("photo.jpg", JPEG)})
    listed = until(200, "GET", "")["items"]
    assert {answer.status_code for answer in answers} <= {200, 201, 503}
    assert [image["id"] for image in listed] == [after["id"], before["id"]]
    assert service.output.count("the embedded PostgreSQL was killed by SIGKILL") == 1
    service.stop()
    wait_until(lambda: not (folder / "postmaster.pid").exists())
