"""Every SQL statement on images. Each takes the session it runs in, and leaves commit to it."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from ipaddress import IPv4Address, IPv6Address
from operator import attrgetter
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast
from uuid import UUID

from sqlalchemy import (
    Executable,
    Select,
    Uuid,
    any_,
    bindparam,
    delete,
    func,
    insert,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.engine import ReadSession, WriteSession
from app.models import Image, Installation

if TYPE_CHECKING:
    from sqlalchemy import Table

_BY_IDS: Final = select(Image).where(Image.id == any_(bindparam("ids", type_=ARRAY(Uuid))))
_FILES: Final = select(Image.storage_key, Image.file_size, Image.checksum)
_INCOMPLETE: Final = or_(Image.checksum.is_(None), Image.width.is_(None))

IpAddress = IPv4Address | IPv6Address


class Position(NamedTuple):
    """A place in the list of images, newest first: that of the image with these two values."""

    created_at: datetime
    id: UUID


class NewImage(NamedTuple):
    """A row to be added: all columns but the time, which the database gives."""

    id: UUID
    filename: str
    storage_key: str
    content_type: str
    file_size: int
    upload_ip: IpAddress | None
    width: int | None
    height: int | None
    checksum: bytes | None
    truncated: bool | None


class StoredFile(NamedTuple):
    """The file that a row promises."""

    key: str
    size: int
    """Bytes."""
    checksum: bytes | None
    """SHA-256, where it is known."""


class Totals(NamedTuple):
    """How much there is of something."""

    images: int
    bytes: int


class IncompleteRow(NamedTuple):
    """A row that lacks something which its file tells."""

    id: UUID
    key: str
    content_type: str
    file_size: int
    has_checksum: bool


class FoundOut(NamedTuple):
    """What a file told; None for what it did not, or what was not asked."""

    id: UUID
    width: int | None
    height: int | None
    checksum: bytes | None
    truncated: bool | None


_TABLE: Final = cast("Table", Image.__table__)
INCOMING: Final = [bindparam(name, type_=ARRAY(_TABLE.c[name].type)) for name in NewImage._fields]
"""New rows as parameters of a statement: an array for each column, for any number of rows."""


def insertion(rows: Select[Any]) -> Executable:
    """Return the statement that inserts what a query gives for each column of `NewImage`."""
    statement = insert(_TABLE).from_select(NewImage._fields, rows, include_defaults=False)
    return select(Image).from_statement(statement.returning(*_TABLE.c))


def columns_of(images: Sequence[NewImage]) -> dict[str, list[Any]]:
    """Return the values of `INCOMING`."""
    columns = zip(NewImage._fields, map(list, zip(*images, strict=True)), strict=True)
    return dict(columns)


_INSERT: Final = insertion(
    select(func.unnest(*INCOMING).table_valued(*NewImage._fields).render_derived())
)


async def add(session: WriteSession, images: Sequence[NewImage]) -> dict[UUID, Image]:
    """Insert rows, and give them as they are stored."""
    rows = await session.scalars(_INSERT, columns_of(images))
    return {image.id: image for image in rows}


async def find(session: ReadSession, image_ids: Iterable[UUID]) -> dict[UUID, Image]:
    """Find rows by their ids; an id that no row has is left out."""
    rows = await session.scalars(_BY_IDS, {"ids": list(image_ids)})
    return {image.id: image for image in rows}


async def page(session: ReadSession, limit: int, after: Position | None) -> Sequence[Image]:
    """Read up to `limit` rows, newest first, that come after a position or from the newest on."""
    query = select(Image).order_by(Image.created_at.desc(), Image.id.desc()).limit(limit)
    if after is not None:
        query = query.where(tuple_(Image.created_at, Image.id) < tuple_(*after))
    return (await session.scalars(query)).all()


async def remove_by_key(session: WriteSession, key: str) -> None:
    """Delete the row with this storage key, if there is one."""
    await session.execute(delete(Image).where(Image.storage_key == key))


async def remove(session: WriteSession, image_id: UUID) -> str | None:
    """Delete a row; tell its storage key, or None where there is no such row."""
    statement = delete(Image).where(Image.id == image_id).returning(Image.storage_key)
    key: str | None = await session.scalar(statement)
    return key


async def find_file(session: ReadSession, key: str) -> StoredFile | None:
    """Find what the row with this storage key promises."""
    row = await session.execute(_FILES.where(Image.storage_key == key))
    found = row.one_or_none()
    return StoredFile(*found) if found else None


async def files_after(session: ReadSession, key: str, limit: int) -> list[StoredFile]:
    """Read up to `limit` files in the order of their keys, those after a key ("" = the first)."""
    query = _FILES.where(Image.storage_key > key).order_by(Image.storage_key).limit(limit)
    return [StoredFile(*row) for row in await session.execute(query)]


async def totals(session: ReadSession) -> Totals:
    """Sum all rows up, by going through the table."""
    query = select(func.count(), func.coalesce(func.sum(Image.file_size), 0))
    images, size = (await session.execute(query)).one()
    return Totals(images, int(size))


async def count(session: ReadSession) -> int:
    """Count the rows, by going through an index."""
    return (await session.scalars(select(func.count()).select_from(Image))).one()


async def count_incomplete(session: ReadSession) -> int:
    """Count the rows that lack something which their files tell, by going through the table."""
    query = select(func.count()).select_from(Image).where(_INCOMPLETE)
    return (await session.scalars(query)).one()


async def incomplete_after(
    session: ReadSession | WriteSession, key: str, limit: int
) -> tuple[list[IncompleteRow], str | None]:
    """Look at up to `limit` rows in the order of their keys, those after a key.

    However many are complete already, a statement reads no more than that.

    Returns:
        Those that lack something, and the last key looked at; None if there is none after `key`.
    """
    query = (
        select(
            Image.id,
            Image.storage_key,
            Image.content_type,
            Image.file_size,
            Image.checksum.is_not(None),
            _INCOMPLETE,
        )
        .where(Image.storage_key > key)
        .order_by(Image.storage_key)
        .limit(limit)
    )
    rows = (await session.execute(query)).all()
    incomplete = [IncompleteRow(*row[:5]) for row in rows if row[5]]
    return incomplete, rows[-1].storage_key if rows else None


async def complete(session: WriteSession, found: Sequence[FoundOut]) -> None:
    """Fill in what rows still lack, and change nothing else; rows that are gone stay gone.

    In the order of the ids, so that two that do this at once wait for each other in turn.
    """
    columns = {
        name: func.coalesce(_TABLE.c[name], bindparam(f"new_{name}", type_=_TABLE.c[name].type))
        for name in FoundOut._fields[1:]
    }
    statement = update(Image).where(Image.id == bindparam("row_id"), _INCOMPLETE).values(columns)
    rows = [
        {"row_id": row.id} | {f"new_{name}": getattr(row, name) for name in FoundOut._fields[1:]}
        for row in sorted(found, key=attrgetter("id"))
    ]
    await (await session.connection()).execute(statement, rows)


async def storage_id(session: ReadSession) -> UUID | None:
    """Return the id that the storage of this database is marked with, if it is known."""
    found: UUID | None = await session.scalar(select(Installation.storage_id))
    return found


async def lock_storage_id(session: WriteSession) -> UUID | None:
    """Do as `storage_id`, and make others that lock it wait until this transaction ends."""
    query = select(Installation.storage_id).with_for_update()
    found: UUID | None = await session.scalar(query)
    return found


async def set_storage_id(session: WriteSession, storage_id: UUID) -> None:
    """Note the id that the storage of this database is marked with."""
    await session.execute(update(Installation).values(storage_id=storage_id))


async def some_keys(session: WriteSession, limit: int) -> Sequence[str]:
    """Return the keys of up to `limit` rows, of any age: keys are random (ADR 4)."""
    query = select(Image.storage_key).order_by(Image.storage_key).limit(limit)
    return (await session.scalars(query)).all()


async def check(session: ReadSession) -> None:
    """Prove that the table is there with its columns, on a server that takes writes.

    A lock, even of no row, is refused by one that is read-only.
    """
    await session.execute(select(Image).limit(0).with_for_update())
