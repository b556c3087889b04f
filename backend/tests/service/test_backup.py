"""The backup of docs/operations.md, taken under load with the lines that stand there."""

import os
import random
import re
import secrets
import shutil
import subprocess
import tarfile
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Self

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy.engine import URL

from app.composition.http_app import create_app
from app.config.settings import Settings
from testkit import samples
from testkit.ceph import Ceph
from testkit.databases import execute
from testkit.live import LiveServer, serve, wait_until
from testkit.programs import needs_ceph
from testkit.schema import programs
from testkit.service import ROOT, fsck
from testkit.settings import make_settings

MAKE_FAILED = 2
"""The exit status of make when its command's is not 0."""


def lines_of(block: str) -> str:
    document = (ROOT / "docs/operations.md").read_text()
    found = re.search(rf"^```sh {block}\n(.*?)^```$", document, re.DOTALL | re.MULTILINE)
    assert found
    return found[1]


def shell(block: str, project: Path, **variables: str) -> str:
    """Run a block as a person would who has PostgreSQL's programs; give all that it says."""
    run = run_shell(block, project, **variables)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout + run.stderr


def run_shell(block: str, project: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    hidden = {"MAKEFLAGS", "MAKELEVEL"}
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return subprocess.run(  # noqa: S603 - our own document
        ["bash", "-c", lines_of(block)],  # noqa: S607
        cwd=project,
        env=environment | variables | {"PATH": f"{programs()}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )


class Load:
    """A client that uploads without end, and deletes what it is given."""

    def __init__(self, server: LiveServer) -> None:
        self.images: dict[str, bytes] = {}
        self.victims: list[str] = []
        self._client = httpx.Client(base_url=f"{server.url}/api/v1/images", timeout=60)
        self._chance = random.Random(1)  # noqa: S311 - for variety
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work)

    def upload(self) -> str:
        content = samples.sized_jpeg(self._chance.randrange(4_000, 200_000))
        image_id: str = self._client.post("/upload", files={"file": content}).json()["id"]
        self.images[image_id] = content
        return image_id

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()
        self._client.close()

    def _work(self) -> None:
        while not self._stop.is_set():
            self.upload()
            if self.victims:
                assert self._client.delete(f"/{self.victims.pop()}").status_code == 204


@pytest.fixture
async def elsewhere(postgres_url: URL, tmp_path: Path) -> AsyncIterator[Settings]:
    """Give an empty database and an empty folder."""
    name = f"restored_{secrets.token_hex(6)}"
    await execute(postgres_url, f"CREATE DATABASE {name}")
    (tmp_path / "elsewhere").mkdir()
    yield make_settings(postgres_url.set(database=name), tmp_path / "elsewhere")
    await execute(postgres_url, f"DROP DATABASE {name} WITH (FORCE)")


def variables(settings: Settings, backup: Path) -> dict[str, str]:
    url = settings.database_url.get_secret_value().replace("postgresql+asyncpg", "postgresql")
    return {"DATABASE_URL": url, "DATA_DIR": str(settings.data_dir), "BACKUP": str(backup)}


def test_a_backup_taken_under_load_restores_every_image(
    settings: Settings, elsewhere: Settings, project: Path, tmp_path: Path
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    with serve(create_app(settings)) as server:
        load = Load(server)
        before = [load.upload() for _ in range(60)]
        load.victims, kept = before[::2], before[1::2]
        with load:
            wait_until(lambda: len(load.victims) < 25)
            shell("backup", project, **variables(settings, backup))

    said = shell("restore", project, **variables(elsewhere, backup))
    lost = said.count("\nrow-without-file ")
    assert "corrupt: 0 (0 bytes), 0 repaired" in said
    if command := re.search(r"--repair --delete-broken-rows .*--expect (\d+)", said):
        run = run_shell("repair", project, NUMBER=command[1], **variables(elsewhere, backup))
        assert run.returncode == MAKE_FAILED, "fsck says with 1 that there was something to repair"
    elif lost:
        command = re.search(r"make fsck ARGS=\"(--repair --delete-broken-rows [^\"]*)\"", said)
        assert command
        assert make_fsck(project, elsewhere, *command[1].split()).returncode == 1
    assert make_fsck(project, elsewhere).returncode in {0, 1}
    with serve(create_app(elsewhere)) as server:
        for image_id in kept:
            response = httpx.get(f"{server.url}/api/v1/images/{image_id}/file")
            assert response.content == load.images[image_id]
        listed = httpx.get(f"{server.url}/api/v1/images?limit=100").json()["items"]
        for image in listed:
            assert len(httpx.get(image["url"]).content) == image["file_size"]


def make_fsck(
    project: Path, settings: Settings, *arguments: str
) -> subprocess.CompletedProcess[str]:
    own = variables(settings, project)
    return fsck(project, *arguments, DATABASE_URL=own["DATABASE_URL"], DATA_DIR=own["DATA_DIR"])


def rows(settings: Settings) -> int:
    with serve(create_app(settings)) as server:
        return len(httpx.get(f"{server.url}/api/v1/images?limit=100").json()["items"])


def test_half_a_tar_removes_no_row(
    settings: Settings, elsewhere: Settings, project: Path, tmp_path: Path
) -> None:
    """The guide stops where tar does; and who goes on all the same is refused."""
    backup = tmp_path / "backup"
    backup.mkdir()
    with serve(create_app(settings)) as server:
        client = httpx.Client(base_url=f"{server.url}/api/v1/images", timeout=60)
        with client:
            for number in range(40):
                content = samples.sized_jpeg(20_000 + number)
                assert client.post("/upload", files={"file": content}).status_code == 201
        shell("backup", project, **variables(settings, backup))
    with tarfile.open(backup / "images.tar") as tar:
        files = [member for member in tar if member.isfile()]
    # Between two files tar would take the cut for the archive's end.
    os.truncate(backup / "images.tar", files[len(files) // 2].offset_data + 1000)

    run = run_shell("restore", project, **variables(elsewhere, backup))
    assert run.returncode != 0
    assert "fsck" not in run.stdout + run.stderr
    assert "images compared" not in run.stdout

    shutil.copy(settings.data_dir / "images/storage-id", elsewhere.data_dir / "images")
    for folder in range(256):
        (elsewhere.data_dir / f"images/{folder:02x}").mkdir(exist_ok=True)
    (elsewhere.data_dir / "images/staging").mkdir(exist_ok=True)
    run = make_fsck(project, elsewhere, "--repair", "--delete-broken-rows")
    assert run.returncode == 3, run.stdout + run.stderr
    assert re.search(r"^Not repaired: \d+ rows .*--expect \d+", run.stderr, re.MULTILINE)
    assert rows(elsewhere) == 40

    (elsewhere.data_dir / "images/storage-id").unlink()
    run = make_fsck(project, elsewhere, "--repair", "--delete-broken-rows", "--expect", "40")
    assert run.returncode == 2
    assert run.stderr.startswith("Not checked: The image storage ")


@needs_ceph
def test_a_backup_of_a_bucket_taken_under_load_restores_every_image(
    settings: Settings, elsewhere: Settings, project: Path, tmp_path: Path, ceph: Ceph
) -> None:
    backup = tmp_path / "backup"
    backup.mkdir()
    buckets = [ceph.settings(ceph.make_bucket()) for _ in range(2)]
    service, restored = (
        settings.model_copy(
            update={
                "storage_url": bucket["STORAGE_URL"],
                "aws_access_key_id": ceph.access_key,
                "aws_secret_access_key": SecretStr(ceph.secret_key),
            }
        )
        for settings, bucket in zip((settings, elsewhere), buckets, strict=True)
    )
    with serve(create_app(service)) as server:
        load = Load(server)
        before = [load.upload() for _ in range(60)]
        load.victims, kept = before[::2], before[1::2]
        with load:
            wait_until(lambda: len(load.victims) < 25)
            shell("backup-bucket", project, **variables(service, backup), **buckets[0])

    said = shell("restore-bucket", project, **variables(restored, backup), **buckets[1])
    assert "Moved: " in said
    lost = said.count("\nrow-without-file ")
    assert lost <= 30
    with serve(create_app(restored)) as server:
        for image_id in kept:
            response = httpx.get(f"{server.url}/api/v1/images/{image_id}/file")
            assert response.content == load.images[image_id]
