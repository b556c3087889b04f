"""`make move-storage` between a folder and a real store, beside the service, with kills."""

import os
import random
import signal
import subprocess
from itertools import pairwise
from pathlib import Path
from typing import Any

from testkit import samples
from testkit.ceph import Ceph
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_ceph
from testkit.service import (
    Service,
    StartService,
    delete,
    download,
    fsck,
    stored_files,
    upload,
)

pytestmark = needs_ceph


class Mover:
    """The command, with settings of its own."""

    def __init__(self, project: Path, source: str, destination: str, **settings: str) -> None:
        self._project = project
        self._arguments = ["move-storage", "--from", source, "--to", destination]
        self._settings = settings

    def start(self) -> "subprocess.Popen[str]":
        return subprocess.Popen(  # noqa: S603 - our own arguments
            [self._project / ".venv/bin/python", "-m", "app", *self._arguments],
            cwd=self._project,
            env=os.environ | {"PYTHONPATH": "backend"} | self._settings,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self) -> tuple[int, str, str]:
        process = self.start()
        output, errors = process.communicate(timeout=2 * TIMEOUT)
        return process.returncode, output, errors

    def kill_after(self, is_due: Any, number: signal.Signals) -> tuple[int, str]:
        """End a run, if it has not ended by itself; return its status and what it said of it."""
        process = self.start()
        wait_until(lambda: is_due() or process.poll() is not None)
        process.send_signal(number)
        _, errors = process.communicate(timeout=TIMEOUT)
        return process.returncode, errors


def options(settings: dict[str, str]) -> list[str]:
    """Return settings as `make` takes them."""
    return [f"{name}={value}" for name, value in settings.items()]


def jpeg(chance: random.Random) -> bytes:
    """Make an image like a photograph; some are larger than a part of an upload."""
    return samples.sized_jpeg(chance.choice([4_000, 40_000, 400_000, 9_000_000]))


def test_a_move_under_load_with_kills_loses_nothing_and_brings_nothing_back(
    project: Path, start: StartService, ceph: Ceph, bucket: str
) -> None:
    chance = random.Random(1)  # noqa: S311 - for variety
    images: dict[str, tuple[dict[str, Any], bytes]] = {}
    deleted: list[dict[str, Any]] = []

    def add(service: Service) -> None:
        content = jpeg(chance)
        image = upload(service, content)
        images[image["id"]] = image, content

    def remove(service: Service) -> None:
        image, _ = images.pop(chance.choice([*images]))
        delete(service, image)
        deleted.append(image)

    before = start()
    before.wait_until_it_serves()
    for _ in range(40):
        add(before)
    before.stop()
    moved = ceph.settings(bucket)
    moving = moved | {"STORAGE_PREVIOUS_URL": "local"}
    during = start(*options(moving)).wait_until_it_serves()
    mover = Mover(project, "local", moved["STORAGE_URL"], **moving)
    for number in (signal.SIGKILL, signal.SIGINT, signal.SIGKILL):
        at_least = len(ceph.keys(bucket)) + 4  # by this run, or it may not even have begun
        status, errors = mover.kill_after(lambda n=at_least: len(ceph.keys(bucket)) > n, number)
        assert status in {-signal.SIGKILL, 128 + signal.SIGINT, 0}, errors
        assert "Traceback" not in errors
        add(during)
        remove(during)
    running = mover.start()
    for _ in range(5):
        add(during)
        remove(during)
    output, errors = running.communicate(timeout=2 * TIMEOUT)
    assert running.returncode == 0, errors
    assert "every file" in output
    for image, content in images.values():
        assert download(during, image) == content
    during.stop()

    source = {path.name: path.read_bytes() for path in stored_files(during)}
    after = start(*options(moved)).wait_until_it_serves()
    for image, content in images.values():
        assert download(after, image) == content
        assert source.get(image["storage_key"], content) == content
    kept = {key for key in ceph.keys(bucket) if not key.startswith(".")}
    assert kept == {image["storage_key"] for image, _ in images.values()}
    assert not source.keys() & {image["storage_key"] for image in deleted}
    report = fsck(project, "--checksums", "--grace", "0s", **moved)
    for kind in ("file-without-row", "row-without-file", "wrong-size", "corrupt", "unreadable"):
        assert f"{kind}: 0 " in report.stdout


def test_files_move_from_bucket_to_bucket_and_back_to_the_folder(
    project: Path, start: StartService, ceph: Ceph, bucket: str
) -> None:
    places = [ceph.url(bucket), ceph.url(bucket, "a/prefix"), "local"]
    keys = {name: value for name, value in ceph.settings(bucket).items() if "AWS" in name}
    settings = keys | {"STORAGE_URL": places[0]}
    service = start(*options(settings))
    image = upload(service.wait_until_it_serves())
    content = download(service, image)
    service.stop()
    for source, destination in pairwise(places):
        url = "" if destination == "local" else destination
        moving = keys | {"STORAGE_URL": url, "STORAGE_PREVIOUS_URL": source}
        service = start(*options(moving))
        service.wait_until_it_serves()
        status, output, errors = Mover(project, source, destination, **moving).run()
        assert (status, errors) == (0, ""), output
        assert output.startswith("1 files (")
        assert download(service, image) == content
        service.stop()
    service = start().wait_until_it_serves()
    assert download(service, image) == content


def test_a_move_that_the_service_is_not_set_up_for_is_refused(
    project: Path, start: StartService, ceph: Ceph, bucket: str
) -> None:
    start().wait_until_it_serves()
    moved = ceph.settings(bucket)
    url = moved.pop("STORAGE_URL")
    status, output, errors = Mover(project, url, "local", **moved).run()
    assert (status, output) == (1, "")
    assert errors == (
        f"Not moved: set STORAGE_URL='' and STORAGE_PREVIOUS_URL='{url}' for this command and for "
        "the service, and restart that, so that it uses both storages.\n"
    )
    status, output, errors = Mover(project, url, url, **moved, STORAGE_URL=url).run()
    assert (status, output, errors) == (1, "", "Not moved: --from and --to are the same.\n")
    assert ceph.keys(bucket) == []


def test_the_bucket_of_another_database_is_refused(
    project: Path, start: StartService, ceph: Ceph, bucket: str, tmp_path: Path
) -> None:
    moved = ceph.settings(bucket)
    other = start(*options(moved), data_dir=tmp_path / "other")
    other.wait_until_it_serves()
    upload(other)
    kept = ceph.keys(bucket)
    service = start()
    service.wait_until_it_serves()
    upload(service)
    status, output, errors = Mover(
        project, "local", moved["STORAGE_URL"], **{**moved, "STORAGE_URL": ""}
    ).run()
    assert (status, output) == (1, "")
    assert errors.startswith("Not moved: ")
    assert "images are here that are not those of the storage that is moved here" in errors
    assert ceph.keys(bucket) == kept


def test_a_file_that_is_not_as_it_was_uploaded_is_named_and_leaves_the_move_undone(
    project: Path, start: StartService, ceph: Ceph, bucket: str
) -> None:
    service = start().wait_until_it_serves()
    for _ in range(2):
        upload(service)
    damaged = stored_files(service)[0]
    damaged.write_bytes(bytes(damaged.stat().st_size))
    moved = ceph.settings(bucket)
    copying = {**moved, "STORAGE_URL": ""}
    status, output, errors = Mover(project, "local", moved["STORAGE_URL"], **copying).run()
    assert status == 1
    assert f"damaged: {damaged.name}" in output + errors
    assert "1 copied, 1 damaged" in output
    assert errors.splitlines()[-1].startswith("Not done: what is named above is damaged")


def test_a_full_store_ends_the_move_in_one_line(
    project: Path, start: StartService, ceph: Ceph, bucket: str
) -> None:
    upload(start().wait_until_it_serves())
    moved = ceph.settings(bucket)
    ceph.limit(bucket, 1024)
    copying = {**moved, "STORAGE_URL": ""}
    status, _, errors = Mover(project, "local", moved["STORAGE_URL"], **copying).run()
    assert status == 1
    assert errors.splitlines()[-1].startswith("Not moved: The image storage cannot be used: ")
    ceph.limit(bucket, -1)
    status, _, errors = Mover(project, "local", moved["STORAGE_URL"], **copying).run()
    assert status == 0, errors
