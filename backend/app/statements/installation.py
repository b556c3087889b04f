"""Statements on what a database knows of itself, and of its storage (ADR 27)."""

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select, update

from app.database.engine import ReadSession, WriteSession
from app.models import IMAGES, Installation
from app.observability.figures import Maintenance


async def read_storage_id(session: ReadSession) -> UUID | None:
    """Return the id that the storage of this database is marked with, if it is known."""
    return (await session.scalars(select(Installation.storage_id))).one()


async def lock_storage_id(session: WriteSession) -> UUID | None:
    """Do as `read_storage_id`, and make others that lock it wait until this transaction ends."""
    query = select(Installation.storage_id).with_for_update()
    return (await session.scalars(query)).one()


async def write_storage_id(session: WriteSession, storage_id: UUID) -> None:
    """Record the id that the storage of this database is marked with."""
    await session.execute(update(Installation).values(storage_id=storage_id))


async def read_secret(session: ReadSession) -> bytes:
    """Return the secret of this installation, 32 bytes."""
    return (await session.scalars(select(Installation.secret))).one()


async def read_maintenance(session: ReadSession) -> Maintenance:
    """Return when fsck was last run and a backup last made."""
    columns = Installation.fsck_at, Installation.fsck_findings, Installation.backup_at
    return Maintenance(*(await session.execute(select(*columns))).one())


async def write_fsck(session: WriteSession, findings: int) -> None:
    """Record that fsck has come to its end now, with so many findings left."""
    changes = {"fsck_at": func.now(), "fsck_findings": findings}
    await session.execute(update(Installation).values(changes))


async def raise_fsck_findings(session: WriteSession, findings: int) -> None:
    """Record so many findings, if fewer are recorded."""
    most = func.greatest(Installation.fsck_findings, findings)  # the second where there is none
    await session.execute(update(Installation).values(fsck_findings=most))


async def write_backup(session: WriteSession) -> None:
    """Record that a backup has been made now."""
    await session.execute(update(Installation).values(backup_at=func.now()))


async def sample_keys(session: WriteSession, limit: int) -> Sequence[str]:
    """Return the keys of up to `limit` images of any age, since keys are random (ADR 4)."""
    key = IMAGES.c.storage_key
    return (await session.scalars(select(key).order_by(key).limit(limit))).all()
