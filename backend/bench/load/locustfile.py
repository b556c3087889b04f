"""People who use an image host: most look, some add, a few add a lot. Run by `make load`.

The environment variable IMAGE_IDS names a file with ids of images that are there, one a line.
STOP has the id of a process to stop when half of the run is over, and the seconds of the run.
METRICS has the address where the service answers with its metrics, which are compared.
"""

import os
from pathlib import Path
from random import Random
from typing import Any, Final

from locust import FastHttpUser, between, events, task
from locust.env import Environment

from bench.forms import form
from bench.images import ImageSpec, typical_specs
from bench.load.agreement import Agreement
from bench.load.fault import Halves

IMAGES: Final = "/api/v1/images"
P50_MS: Final = 100
P95_MS: Final = 500
HEAVY_BYTES: Final = 20 * 1024 * 1024

_chance: Final = Random(2026)
_ids: Final = Path(os.environ["IMAGE_IDS"]).read_text().split()
_JPEG: Final = [p for p in typical_specs(_chance) if p.image_type == "image/jpeg"]
_forms: Final = [form(spec.content(_chance)) for spec in _JPEG]
_heavy_form: Final = form(ImageSpec(_JPEG[0].image_type, HEAVY_BYTES).content(_chance))
_halves: Final = Halves(*map(int, os.environ["STOP"].split())) if "STOP" in os.environ else None
_agreement: Final = Agreement(os.environ["METRICS"]) if "METRICS" in os.environ else None


class _Person(FastHttpUser):
    abstract = True

    def _get(self, url: str, name: str) -> Any:
        with self.client.get(url, name=name, catch_response=True) as response:
            return response.json() if response.ok else None

    def _upload(self, form: tuple[bytes, str], name: str) -> None:
        body, content_type = form
        with self.client.post(
            f"{IMAGES}/upload",
            data=body,  # type: ignore[arg-type]  # its docstring allows bytes
            headers={"Content-Type": content_type},
            name=name,
            catch_response=True,
        ) as response:
            if response.status_code != 201:
                response.failure(f"answered {response.status_code}")


class Visitor(_Person):
    """Looks at images, saves some, adds one now and then, turns the pages of the list."""

    wait_time = between(0.5, 2)
    cursor = ""

    @task(3)
    def view(self) -> None:
        """Ask what is known of an image."""
        image_id = _chance.choice(_ids)
        self._get(f"{IMAGES}/{image_id}", "view")

    @task(3)
    def download(self) -> None:
        """Fetch a file, whole."""
        image_id = _chance.choice(_ids)
        with self.client.get(
            f"{IMAGES}/{image_id}/file", name="download", catch_response=True
        ) as response:
            if len(response.content or b"") != int(response.headers.get("content-length", -1)):
                response.failure("the file is not whole")

    @task(1)
    def upload(self) -> None:
        """Add an image, and look at it."""
        self._upload(_chance.choice(_forms), "upload")

    @task(1)
    def turn_page(self) -> None:
        """Read the next page of the list; after the last, the first."""
        cursor = f"&cursor={self.cursor}" if self.cursor else ""
        page = self._get(f"{IMAGES}?limit=20{cursor}", "list")
        self.cursor = (page or {}).get("next_cursor") or ""


class Photographer(_Person):
    """Adds large images, one after the other."""

    fixed_count = 4
    wait_time = between(2, 6)

    @task
    def upload_large(self) -> None:
        """Add an image of 20 MiB."""
        self._upload(_heavy_form, "upload 20 MiB")


def judge(environment: Environment, **_: object) -> None:
    """Fail where people would have had to wait, or saw an error."""
    total = environment.stats.total
    p50, p95 = (total.get_response_time_percentile(part) for part in (0.5, 0.95))
    reached = p50 < P50_MS and p95 < P95_MS and total.num_failures == 0 < total.num_requests
    print(
        f"P50 {p50:.0f} ms (goal: under {P50_MS}), P95 {p95:.0f} ms (under {P95_MS}), "
        f"errors {total.num_failures} of {total.num_requests:,} requests: "
        f"{'reached' if reached else 'NOT reached'}"
    )
    if _halves:
        reached = _halves.judge() and reached
    if _agreement:
        reached = _agreement.judge(total) and reached
    environment.process_exit_code = 0 if reached else 1


events.quitting.add_listener(judge)  # type: ignore[no-untyped-call]  # locust's own
