"""What a process that died at a chosen step leaves, and the process that makes them die."""

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.engine import URL

from app.database.engine import Database
from app.models import ImageRow
from app.services.use_cases import Services
from app.storage.local.backend import LocalStorage
from app.storage.local.marking import NAME
from testkit import crash_driver
from testkit.crash_driver import LIMITS, Orders


class Run:
    """What is known of a process after its death."""

    def __init__(self, lines: list[str]) -> None:
        assert lines[-1] == f"end {-signal.SIGKILL}", lines
        self.effects = [line for line in lines[:-1] if not line.startswith("acknowledged")]
        acknowledged = [line.split()[1:] for line in lines if line.startswith("acknowledged")]
        self.acknowledged = bool(acknowledged)
        self.image_ids = [UUID(word) for words in acknowledged for word in words]


Driver = Callable[[Orders], Run]


@contextmanager
def running_driver() -> Iterator[Driver]:
    """Run the process whose forks carry out orders."""
    with subprocess.Popen(
        [sys.executable, "-m", crash_driver.__name__],
        cwd=Path(__file__).parents[1],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        requests, answers = process.stdin, process.stdout

        def run(orders: Orders) -> Run:
            requests.write(json.dumps(orders) + "\n")
            requests.flush()
            lines: list[str] = []
            while not lines or not lines[-1].startswith("end "):
                line = answers.readline()
                assert line, "the driver itself has ended"
                lines.append(line.rstrip("\n"))
            return Run(lines)

        yield run
        requests.close()


class Host:
    """Database and storage as the dead process left them, and a service that starts over them."""

    def __init__(self, url: URL, database: Database, root: Path, storage: LocalStorage) -> None:
        self.url = url.render_as_string(hide_password=False)
        self.database = database
        self.root = root
        self.storage = storage
        self.services = Services(database, self.storage, LIMITS)

    async def empty(self) -> None:
        await self.services.readiness.prepare_storage()
        async with self.database.write() as session:
            for table in ("images", "procrastinate_jobs", "idempotency_keys"):
                await session.execute(text(f"DELETE FROM {table}"))  # noqa: S608 - our own
        for file in self.files():
            file.unlink()

    def files(self) -> list[Path]:
        return [path for path in self.root.rglob("*") if path.is_file() and path.name != NAME]

    def orders(self, action: str, kill_before: int) -> Orders:
        return Orders(
            action=action,
            url=self.url,
            root=str(self.root),
            kill_before=kill_before,
            files=[],
            image_ids=[],
            redis_url="",
        )

    async def download(self, image_id: UUID) -> bytes:
        file = await self.services.files.find(image_id)
        reader = await self.services.files.open(file, 0, file.size)
        data = b""
        while block := await reader.read():
            data += block
        await reader.close()
        return data

    async def assert_consistent(self, sent: dict[str, bytes]) -> set[UUID]:
        """Check what must hold at any moment; return which images there are.

        Every row has its whole file. Besides these there are only whole files without a row, and
        staging files: what `fsck` removes.
        """
        async with self.database.read() as session:
            images = (await session.scalars(select(ImageRow))).all()
        for image in images:
            assert await self.download(image.id) == sent[image.filename]
        for file in self.files():
            if file.parent != self.root / "staging":
                assert file.read_bytes() in sent.values(), f"{file} is half an image"
        return {image.id for image in images}
