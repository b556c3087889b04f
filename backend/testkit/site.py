"""A service with nginx in front of it, and the comparison of what the two answer."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit import samples
from testkit.front import Front, front
from testkit.live import TIMEOUT, LiveServer, serve, wait_until
from testkit.sockets import UPLOAD

IMAGES = "/api/v1/images"
JPEG = samples.sized_jpeg(42_000)
OWN_TO_EACH = {"connection", "date", "keep-alive", "server", "x-accel-expires", "x-request-id"}
"""Header fields that differ from answer to answer, or are for nginx."""


@dataclass
class Site:
    """A service, nginx in front of it, and an image."""

    service: LiveServer
    proxy: Front
    file: str
    """Path of its file."""
    stopping: ExitStack
    """Ends the service when it is closed."""
    ids: list[str] = field(default_factory=list)

    def both(self, method: str, path: str, **options: Any) -> tuple[httpx.Response, httpx.Response]:
        """Ask the service, and then nginx, with the same Host."""
        options["headers"] = {"Host": "localhost", **options.get("headers", {})}
        return (
            httpx.request(method, f"{self.service.url}{path}", **options),
            httpx.request(method, f"{self.proxy.url}{path}", **options),
        )

    def get(self, path: str = "", **headers: str) -> httpx.Response:
        url = f"{self.proxy.url}{path or self.file}"
        response = httpx.get(url, headers=headers, timeout=TIMEOUT)
        self.ids.append(response.headers["x-request-id"])
        return response

    def log(self) -> dict[str, str]:
        """Return the lines of what was got so far, by their ids, in order."""

        def lines() -> dict[str, str]:
            return {line.split()[1]: line for line in self.proxy.requests}

        wait_until(lambda: set(self.ids) <= set(lines()))
        return {one: lines()[one] for one in self.ids}

    def statuses(self) -> list[str]:
        """Return what nginx logged of the cache for what was got so far, in order."""
        return [line.partition("cache=")[2].partition(" ")[0] for line in self.log().values()]


@contextmanager
def opened_site(settings: Settings, folder: Path, path: str = "", **changes: Any) -> Iterator[Site]:
    """Run a service, with some settings changed, and nginx in front of it."""
    behind = {"front": "nginx", "trusted_proxies": (ip_network("127.0.0.1"),)}
    url = {"public_url": f"http://localhost{path}"} if path else {}
    changed = settings.model_copy(update=behind | url | changes)
    app = create_app(changed)
    with ExitStack() as stopping:
        service = stopping.enter_context(serve(app))
        images, log_format = changed.data_dir / "images", changed.log_format
        with front(folder, [service.port], images, path=path, log_format=log_format) as proxy:
            stored = httpx.post(f"{service.url}{UPLOAD}", files={"file": ("photo.jpg", JPEG)})
            file = f"{IMAGES}/{stored.json()['id']}/file"
            yield Site(service, proxy, file, stopping)


def same(direct: httpx.Response, through: httpx.Response) -> bool:
    """Return whether two answers are equal, and the second is one that nginx may send."""
    fields = [
        sorted(
            (name, value) for name, value in one.headers.multi_items() if name not in OWN_TO_EACH
        )
        for one in (direct, through)
    ]
    assert (through.status_code, fields[1]) == (direct.status_code, fields[0])
    assert len(through.headers.get_list("x-request-id")) == 1
    assert not [name for name in through.headers if name.startswith("x-accel")]
    return through.content == direct.content
