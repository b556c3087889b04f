"""What a service counts of the requests that it answers."""

from collections.abc import AsyncIterator, Callable
from uuid import uuid4

import httpx
import pytest
from prometheus_client import CollectorRegistry, generate_latest

from app.composition.http_app import create_app
from app.config.settings import Settings
from app.observability.metrics.observer import MetricsObserver
from testkit import samples
from testkit.asgi import image_of, open_client
from testkit.live import serve, wait_until
from testkit.metrics import Metrics
from testkit.sockets import BATCH, UPLOAD, ask, head

UNKNOWN_PATHS = 10_000
FILE = "/api/v1/images/{image_id}/file"
THUMBNAIL = "/api/v1/images/{image_id}/thumbnails/{size}"
IMAGE = "/api/v1/images/{image_id}"

Read = Callable[[], Metrics]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def observer(registry: CollectorRegistry) -> MetricsObserver:
    return MetricsObserver(registry)


@pytest.fixture
def read(registry: CollectorRegistry, observer: MetricsObserver) -> Read:
    def read() -> Metrics:
        observer.sample()
        return Metrics(generate_latest(registry).decode())

    return read


@pytest.fixture
async def client(settings: Settings, observer: MetricsObserver) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(settings, observer=observer) as client:
        yield client


async def upload(client: httpx.AsyncClient, content: bytes) -> str:
    response = await client.post(UPLOAD, files={"file": ("photo.jpg", content)})
    return str(image_of(response)["id"])


async def test_requests_are_counted_by_the_templates_of_their_routes(
    client: httpx.AsyncClient, read: Read
) -> None:
    image_id = await upload(client, samples.jpeg())
    image = f"/api/v1/images/{image_id}"
    page = (await client.get("/")).text
    asset = "/assets/" + page.partition('"assets/')[2].partition('"')[0]
    preflight = {"Access-Control-Request-Method": "GET"}
    await client.options(f"{image}/file", headers=preflight)
    for method, path in [
        ("GET", image),
        ("GET", f"{image}/file"),
        ("HEAD", f"{image}/file"),
        ("GET", f"{image}/file?download=1"),
        ("GET", f"{image}/thumbnails/7"),
        ("GET", f"{image}/thumbnails/8?download=1"),
        ("GET", asset),
        ("GET", "/delete"),
        ("GET", "/docs"),
        ("GET", "/docs/assets/swagger-ui.css"),
        ("GET", f"/docs/assets/{uuid4()}"),
        ("GET", "/health/live"),
        ("GET", f"{image}/"),
        ("PUT", image),
        ("POST", "/"),
        ("DELETE", image),
        ("GET", f"{image}/file"),
        ("GET", f"/{uuid4()}"),
    ]:
        await client.request(method, path)
    counted = {
        (labels["route"], labels["method"], labels["status"]): value
        for sample, value in read()["http_request_duration_seconds_count"].items()
        for labels in [dict(sample)]
        if value  # failures are there from zero on
    }
    assert counted == {
        (UPLOAD, "POST", "2xx"): 1,
        ("/", "GET", "2xx"): 1,
        (FILE, "OPTIONS", "2xx"): 1,
        (IMAGE, "GET", "2xx"): 1,
        (FILE, "GET", "2xx"): 2,
        (FILE, "HEAD", "2xx"): 1,
        (THUMBNAIL, "GET", "4xx"): 2,
        ("/assets", "GET", "2xx"): 1,
        ("/delete", "GET", "2xx"): 1,
        ("/docs", "GET", "2xx"): 1,
        ("/docs/assets", "GET", "2xx"): 1,
        ("/docs/assets", "GET", "4xx"): 1,
        ("/health/live", "GET", "2xx"): 1,
        ("none", "GET", "3xx"): 1,
        (IMAGE, "other", "4xx"): 1,
        ("none", "POST", "4xx"): 1,
        (IMAGE, "DELETE", "2xx"): 1,
        (FILE, "GET", "4xx"): 1,
        ("none", "GET", "4xx"): 1,
    }


async def test_unknown_paths_and_ids_add_no_series(client: httpx.AsyncClient, read: Read) -> None:
    """A million ids are in `tests/unit/test_metrics.py`."""
    await client.get("/unknown")
    await client.get(f"/api/v1/images/{uuid4()}")
    await client.get(f"/api/v1/images/{uuid4()}/file")
    series = set(read().samples)
    for number in range(UNKNOWN_PATHS):
        await client.get(f"/unknown/{number}")
    for _ in range(100):
        await client.get(f"/api/v1/images/{uuid4()}")
        await client.get(f"/api/v1/images/{uuid4()}/file")
    metrics = read()
    assert set(metrics.samples) == series
    assert metrics.value("http_request_duration_seconds_count", route="none") == UNKNOWN_PATHS + 1


async def test_sizes_are_those_of_the_bodies(client: httpx.AsyncClient, read: Read) -> None:
    content = samples.jpeg(640, 480)
    image_id = await upload(client, content)
    for _ in range(3):
        await client.get(f"/api/v1/images/{image_id}/file")
    await client.head(f"/api/v1/images/{image_id}/file")
    await client.get(
        f"/api/v1/images/{image_id}/file", headers={"Range": "bytes=0-99", "Content-Length": "0"}
    )
    metrics = read()
    assert metrics.value("http_response_size_bytes_sum", route=FILE) == 3 * len(content) + 100
    assert metrics.value("http_response_size_bytes_count", route=FILE) == 5
    assert metrics.value("http_request_size_bytes_count") == 1
    form = metrics.value("http_request_size_bytes_sum", route=UPLOAD)
    assert len(content) < form < len(content) + 1000


async def test_images_that_are_stored_and_deleted_are_counted_with_their_bytes(
    client: httpx.AsyncClient, read: Read
) -> None:
    contents = [samples.jpeg(width) for width in (10, 11, 12)]
    first = await upload(client, contents[0])
    files = [("files", ("photo.jpg", content)) for content in (*contents[1:], b"no image")]
    assert (await client.post(BATCH, files=files)).status_code == httpx.codes.MULTI_STATUS
    await client.post(UPLOAD, files={"file": ("photo.jpg", b"no image")})
    await client.delete(f"/api/v1/images/{first}")
    await client.delete(f"/api/v1/images/{first}")
    metrics = read()
    assert metrics.value("images_uploaded_total") == 3
    assert metrics.value("uploaded_bytes_total") == sum(map(len, contents))
    assert metrics.value("images_deleted_total") == 1


async def test_problems_are_counted_by_their_kind(client: httpx.AsyncClient, read: Read) -> None:
    await client.get("/unknown")
    await client.get(f"/api/v1/images/{uuid4()}")
    await client.get("/api/v1/images?limit=0")
    await client.get("/api/v1/images?limit=x")
    assert read()["http_problems_total"] == {
        (("type", "not-found"),): 1,
        (("type", "image-not-found"),): 1,
        (("type", "invalid-request"),): 2,
    }


async def test_how_the_bytes_of_files_go_is_counted(client: httpx.AsyncClient, read: Read) -> None:
    path = f"/api/v1/images/{await upload(client, samples.jpeg())}/file"
    etag = (await client.get(path)).headers["etag"]
    await client.get(path, headers={"Range": "bytes=0-9"})
    await client.get(path, headers={"If-None-Match": etag})
    await client.head(path)
    await client.head(path, headers={"If-None-Match": etag})
    await client.get(path, headers={"If-Match": '"another"'})
    ways = {dict(labels)["way"]: value for labels, value in read()["file_responses_total"].items()}
    assert ways.pop("memory") + ways.pop("stream") == 2, "the disk may have been waited for"
    assert ways == {"not_modified": 1, "sendfile": 0, "front": 0, "redirect": 0}


def test_a_client_that_has_left_is_counted(
    settings: Settings, observer: MetricsObserver, read: Read
) -> None:
    """As 4xx: the access log has 499, for nobody was answered."""
    with serve(create_app(settings, observer=observer)) as server:
        with server.connect() as client:
            client.sendall(head(UPLOAD, "Content-Length: 900"))
        wait_until(lambda: read()["http_request_duration_seconds_count"])
    assert read().value("http_request_duration_seconds_count", status="4xx") == 1
    assert read()["http_problems_total"] == {}


def test_what_the_server_refuses_is_counted_by_the_problem(
    settings: Settings, observer: MetricsObserver, read: Read
) -> None:
    with serve(create_app(settings), observer=observer) as server:
        ask(server, b"BREW / HTTP/1.1\r\nHost: localhost\r\n\r\n")
        ask(server, b"GET / HTTP/1.1\r\n\r\n")
        ask(server, b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"x" * 40_000)
    assert read()["connections_refused_total"] == {
        (("reason", "malformed-request"),): 2,
        (("reason", "head-too-large"),): 1,
        (("reason", "too-many-connections"),): 0,
    }


def test_a_large_file_is_sent_by_the_kernel(
    settings: Settings, observer: MetricsObserver, read: Read
) -> None:
    content = samples.jpeg() + bytes(1_000_000)
    with (
        serve(create_app(settings, observer=observer)) as server,
        httpx.Client(base_url=server.url) as client,
    ):
        image = client.post(UPLOAD, files={"file": ("photo.jpg", content)}).json()
        for _ in range(3):
            assert client.get(f"/api/v1/images/{image['id']}/file").content == content
    metrics = read()
    assert metrics.value("file_responses_total", way="sendfile") == 3
    assert metrics.value("http_response_size_bytes_sum", route=FILE) == 3 * len(content)
