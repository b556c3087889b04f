"""What operators have done last, which the database keeps for whoever asks how a service is."""

from app.database.engine import Database
from app.statements.installation import raise_fsck_findings, write_backup, write_fsck


async def record_fsck(database: Database, findings: int, *, is_thorough: bool) -> None:
    """Record that fsck has come to its end now.

    One that reads no file knows nothing of what another one found that did: it adds to the
    findings, but is no sign that these are gone.

    Args:
        database: That of the installation.
        findings: How many there were that it did not repair.
        is_thorough: Whether it has read every file.

    Raises:
        DatabaseUnavailable: If that cannot be recorded.
    """
    async with database.write() as session:
        await (write_fsck if is_thorough else raise_fsck_findings)(session, findings)


async def record_backup(database: Database) -> None:
    """Record that a backup has been made now.

    Raises:
        DatabaseUnavailable: If that cannot be recorded.
    """
    async with database.write() as session:
        await write_backup(session)
