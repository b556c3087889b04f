"""`make backfill`, as an operator types it, on data of earlier versions, beside a service."""

import asyncio
from hashlib import sha256
from pathlib import Path

import httpx

from app.database.embedded import embedded_postgres
from testkit.schema import LEAN_IMAGES, copy_lean_files, lean_file, load_lean
from testkit.service import StartService, make, upload

NO_THUMBNAILS = "THUMBNAIL_SIZES=none"
SIZES = {
    "Zürich am See's 😀.jpg": (40, 30),
    "turned.jpg": (30, 40),
    "drawing.png": (30, 20),
    "broken.jpg": (None, None),
}


def test_images_of_earlier_versions_get_what_their_rows_lack(
    start: StartService, project: Path
) -> None:
    with embedded_postgres(project / "data/postgres") as url:
        asyncio.run(load_lean(url))
    copy_lean_files(project / "data")
    run = make(project, "backfill")
    assert run.returncode != 0
    assert "run `make migrate`" in run.stderr

    service = start().wait_until_it_serves()

    def sizes() -> dict[str, tuple[int | None, int | None]]:
        items = httpx.get(f"{service.url}/api/v1/images").json()["items"]
        assert {image["id"] for image in items} == set(LEAN_IMAGES)
        return {image["filename"]: (image["width"], image["height"]) for image in items}

    assert set(sizes().values()) == {(None, None)}
    run = make(project, "backfill", NO_THUMBNAILS)
    assert run.returncode == 0, run.stderr
    assert run.stdout.splitlines() == [
        "4 images can be searched for since this run",
        "4 images: 3 filled in, 1 with no size in a header that can be read",
    ]
    found = httpx.get(f"{service.url}/api/v1/images", params={"q": "zurich"}).json()["items"]
    assert [image["filename"] for image in found] == ["Zürich am See's 😀.jpg"]
    assert sizes() == SIZES
    for image in httpx.get(f"{service.url}/api/v1/images").json()["items"]:
        assert image["checksum"] == f"sha256:{sha256(lean_file(image['id'])).hexdigest()}"
        assert image["truncated"] is (image["filename"] == "broken.jpg")
    run = make(project, "fsck", "ARGS=--checksums")
    assert run.returncode == 0, run.stderr
    assert "4 files read: " in run.stdout

    service.stop()
    run = make(project, "backfill", NO_THUMBNAILS)
    assert run.returncode == 0, run.stderr
    assert run.stdout == "1 images: 1 with no size in a header that can be read\n"


def test_a_missing_file_is_reported_by_its_key(start: StartService, project: Path) -> None:
    with embedded_postgres(project / "data/postgres") as url:
        asyncio.run(load_lean(url))
    copy_lean_files(project / "data")
    service = start().wait_until_it_serves()
    assert httpx.get(f"{service.url}/health/ready").status_code == 200
    drawing = next((project / "data/images").glob("ce/*"))
    drawing.unlink()
    run = make(project, "backfill", NO_THUMBNAILS)
    assert run.returncode == 0, run.stderr
    assert f"no file {drawing.name};" in run.stdout
    assert "1 without their file" in run.stdout


def test_images_are_rendered_by_the_workers_of_a_running_service(
    start: StartService, project: Path
) -> None:
    with embedded_postgres(project / "data/postgres") as url:
        asyncio.run(load_lean(url))
    copy_lean_files(project / "data")
    service = start("WORKER_PROCESSES=1").wait_until_it_serves()
    run = make(project, "backfill")
    assert run.returncode == 0, run.stderr
    expected = "4 images: 3 with thumbnails and metadata, 1 that cannot be rendered"
    assert run.stdout.splitlines()[2] == expected
    assert len([*(project / "data/images").glob("??/*-*.webp")]) == 3 * 3
    run = make(project, "backfill")
    assert run.returncode == 0, run.stderr
    assert "rendered" not in run.stdout
    images = httpx.get(f"{service.url}/api/v1/images").json()["items"]
    found = [httpx.get(f"{service.url}/api/v1/images/{image['id']}").json() for image in images]
    metadata = {image["filename"]: image["metadata"] for image in found}
    assert metadata["turned.jpg"]["orientation"] in {5, 6, 7, 8}
    assert metadata["broken.jpg"] == {}
    run = make(project, "backfill", "THUMBNAIL_SIZES=150,400")
    assert run.returncode != 0
    assert run.stderr.startswith("Not finished: workers left 3 images as they were. ")


def test_a_run_without_a_worker_says_how_to_start_one(start: StartService, project: Path) -> None:
    service = start().wait_until_it_serves()
    for _ in range(3):
        upload(service)
    run = make(project, "backfill")
    assert run.returncode != 0
    assert run.stdout == "2 files share the bytes of equal ones since this run\n"
    assert run.stderr.startswith(
        "Not finished: 3 images are to be rendered, and no worker takes jobs. "
        "Start one with `make worker` or `make run`"
    )
    run = make(project, "backfill", NO_THUMBNAILS)
    assert run.returncode == 0, run.stderr


def test_a_run_that_cannot_begin_says_so(project: Path) -> None:
    run = make(project, "backfill")
    assert run.returncode != 0
    assert run.stderr.startswith("Not finished: There is no embedded database in /")
    run = make(project, "backfill", "DATABASE_URL=postgresql://127.0.0.1:1/nothing")
    assert run.stdout == ""
    assert run.stderr.startswith("Not finished: The database is not available")
    assert "Traceback" not in run.stderr
