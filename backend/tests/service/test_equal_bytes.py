"""Images of equal bytes, whatever happens to them in whichever order, and wherever it is killed.

Uploads, deletes, the sharing of bytes and fsck, each to its end or killed before one of its steps:
every image that was acknowledged and not deleted has its bytes, and a deleted one has no file.
"""

import asyncio
from collections.abc import Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal, TypeVar
from uuid import UUID

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import select
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.domain.image import ExistingImage
from app.models import IMAGES
from app.services.fsck import ConsistencyCheck
from app.services.fsck_findings import Kind, Removals
from app.services.fsck_repair import repair
from app.services.sharing import ByteSharing
from app.services.staging import IncomingFile, UploadOptions
from app.storage.local.backend import LocalStorage
from testkit import samples
from testkit.crash_host import Driver, Host, running_driver
from testkit.forms import stream

CONTENTS = [samples.jpeg(), samples.png()]
AT_ONCE = timedelta(0)
"""The grace of fsck, for nothing is in progress when it runs."""

contents = st.sampled_from(CONTENTS)
steps = st.integers(1, 9)
"""Before which to be killed; an upload of a small file has the most, eight with its answer."""
choices = st.integers(0, 99)
_Result = TypeVar("_Result")
Run = Callable[[Coroutine[Any, Any, _Result]], _Result]


class EqualBytes(RuleBasedStateMachine):
    """A host, and which images there must be."""

    def __init__(self, host: Host, driver: Driver, run: Run[Any]) -> None:
        super().__init__()
        self.host = host
        self.driver = driver
        self.run = run
        self.sharing = ByteSharing(host.database, host.storage)
        self.images: dict[UUID, bytes] = {}
        self.may_have_leftovers = False
        run(host.empty())

    @rule(content=contents, on_duplicate=st.sampled_from(["store", "return"]))
    def upload(self, content: bytes, on_duplicate: Literal["store", "return"]) -> None:
        options = UploadOptions(on_duplicate=on_duplicate)
        incoming = IncomingFile("0.jpg", stream([content]), options)
        image = self.run(self.host.services.uploads.upload(incoming, None))
        is_known = content in self.images.values()
        assert isinstance(image, ExistingImage) == (on_duplicate == "return" and is_known)
        assert self.images.get(image.id, content) == content
        self.images[image.id] = content

    @precondition(lambda self: self.images)
    @rule(choice=choices)
    def delete(self, choice: int) -> None:
        image_id = self.chosen(choice)
        self.run(self.host.services.deletion.delete(image_id))
        del self.images[image_id]

    @precondition(lambda self: self.images)
    @rule(choice=choices)
    def share(self, choice: int) -> None:
        self.run(self.sharing.share(self.chosen(choice)))

    @rule(content=contents, step=steps)
    def upload_killed(self, content: bytes, step: int) -> None:
        file = self.host.root.with_name("0.jpg")
        file.write_bytes(content)
        acknowledged = self.killed("upload", step, files=[str(file)])
        new = {*self.keys()} - {*self.images}
        assert len(new) <= 1
        assert new >= {*acknowledged}
        self.images.update(dict.fromkeys(new, content))

    @precondition(lambda self: self.images)
    @rule(choice=choices, step=steps)
    def delete_killed(self, choice: int, step: int) -> None:
        image_id = self.chosen(choice)
        self.killed("delete", step, image_ids=[str(image_id)])
        if image_id not in self.keys():
            del self.images[image_id]

    @precondition(lambda self: self.images)
    @rule(choice=choices, step=steps)
    def share_killed(self, choice: int, step: int) -> None:
        self.killed("share", step, image_ids=[str(self.chosen(choice))])

    @rule()
    def share_all(self) -> None:
        self.run(self.sharing.run(lambda _outcome: None))
        inodes = {path.stat().st_ino for path in self.paths().values()}
        assert len(inodes) == len({*self.images.values()})

    @rule()
    def repair(self) -> None:
        check = ConsistencyCheck(self.host.database, self.host.storage, AT_ONCE, checksums=True)

        async def run() -> None:
            async for finding, is_repaired in repair(check, Removals(len(self.images))):
                assert finding.kind in {Kind.FILE_WITHOUT_ROW, Kind.OLD_STAGING_FILE}
                assert is_repaired

        self.run(run())
        self.may_have_leftovers = False

    @invariant()
    def every_image_has_its_bytes_and_there_is_no_other(self) -> None:
        paths = self.paths()
        found = {image_id: path.read_bytes() for image_id, path in paths.items()}
        assert found == self.images
        if not self.may_have_leftovers:
            assert {*self.host.files()} == {*paths.values()}

    def teardown(self) -> None:
        self.share_all()
        self.repair()
        self.every_image_has_its_bytes_and_there_is_no_other()

    def chosen(self, choice: int) -> UUID:
        return [*self.images][choice % len(self.images)]

    def killed(self, action: str, step: int, **orders: list[str]) -> list[UUID]:
        """Carry out orders up to a step; return the images that were acknowledged."""
        wanted = self.host.orders(action, kill_before=step)
        wanted.update(orders)  # type: ignore[typeddict-item]
        self.may_have_leftovers = True
        return self.driver(wanted).image_ids

    def keys(self) -> dict[UUID, str]:
        """Return the keys of the images that have a row."""

        async def read() -> dict[UUID, str]:
            async with self.host.database.read() as session:
                rows = await session.execute(select(*IMAGES.c["id", "storage_key"]))
                return {image_id: key for image_id, key in rows}  # noqa: C416 - a row is no pair

        found: dict[UUID, str] = self.run(read())
        return found

    def paths(self) -> dict[UUID, Path]:
        root, locate = self.host.root, self.host.storage.locate
        return {image_id: root / locate(key) for image_id, key in self.keys().items()}


def test_equal_images_keep_their_bytes_whatever_happens_to_the_others(
    database_url: URL, tmp_path: Path
) -> None:
    root = tmp_path / "images"
    with asyncio.Runner() as runner, running_driver() as driver:
        database = Database(database_url)
        storage = LocalStorage(root)
        host = Host(database_url, database, root, storage)
        try:
            run_state_machine_as_test(
                lambda: EqualBytes(host, driver, runner.run),  # type: ignore[arg-type]  # callable
                settings=settings(
                    max_examples=8,
                    stateful_step_count=15,
                    suppress_health_check=[*HealthCheck],
                ),
            )
        finally:
            runner.run(storage.close())
            runner.run(database.close())
