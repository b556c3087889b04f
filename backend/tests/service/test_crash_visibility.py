"""A process that dies at any step of making an image private: it has one file, found in one way."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.domain.errors import ImageNotFound
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import Kind
from app.services.staging import IncomingFile
from testkit import samples
from testkit.crash_driver import ACKNOWLEDGE
from testkit.crash_host import Host, running_driver
from testkit.forms import stream
from testkit.storages import OpenStorage

JPEG = samples.jpeg()
EFFECTS = [
    *["SELECT", "SELECT", "utime published file", "link published file", "fsync published folder"],
    *["UPDATE", "COMMIT", "remove published file", ACKNOWLEDGE],
]


async def test_making_private_that_dies_at_any_step_leaves_an_image_with_one_file(
    database_url: URL, database: Database, tmp_path: Path, open_storage: OpenStorage
) -> None:
    root = tmp_path / "images"
    host = Host(database_url, database, root, open_storage(root))
    with running_driver() as driver:
        for step in range(1, len(EFFECTS) + 2):
            await host.empty()
            incoming = IncomingFile("0.jpg", stream([JPEG]))
            image = await host.services.uploads.upload(incoming, None)
            orders = host.orders("make private", kill_before=step)
            orders["image_ids"] = [str(image.id)]
            run = driver(orders)
            assert run.effects == EFFECTS[:step]
            assert run.acknowledged == (step > len(EFFECTS))
            now = await host.services.images.get(image.id)
            assert now.is_public == ("COMMIT" not in EFFECTS[: step - 1])
            assert (now.storage_key == image.storage_key) == now.is_public
            if now.is_public:
                assert await host.download(image.id) == JPEG
            else:
                with pytest.raises(ImageNotFound):
                    await host.download(image.id)
            files = {file.name: file.read_bytes() for file in host.files()}
            assert files.pop(now.storage_key) == JPEG
            check = ConsistencyCheck(database, host.storage, timedelta(0))
            findings = [finding async for finding in check.find(lambda _row: None)]
            assert {(one.kind, one.key) for one in findings} == {
                (Kind.FILE_WITHOUT_ROW, name) for name in files
            }
            assert not (run.acknowledged and files)
