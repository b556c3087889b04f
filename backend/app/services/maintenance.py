"""What operators have done last, which the database keeps for whoever asks how a service is."""

from app.database.engine import Database
from app.statements.installation import write_backup, write_fsck


async def record_fsck(database: Database, findings: int) -> None:
    """Record that fsck has come to its end now.

    Args:
        database: That of the installation.
        findings: How many there were that it did not repair.

    Raises:
        DatabaseUnavailable: If that cannot be recorded.
    """
    async with database.write() as session:
        await write_fsck(session, findings)


async def record_backup(database: Database) -> None:
    """Record that a backup has been made now.

    Raises:
        DatabaseUnavailable: If that cannot be recorded.
    """
    async with database.write() as session:
        await write_backup(session)
