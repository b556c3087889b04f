"""The `installation` table: what a database knows of itself and of its storage, in one row."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, String, text, true
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class Installation(Base):
    """The only row, which a migration inserts."""

    __tablename__ = "installation"
    __table_args__ = (CheckConstraint("only_row", name="only_row"),)

    only_row: Mapped[bool] = mapped_column(primary_key=True, server_default=true())
    # The id that the storage of this database is marked with (ADR 27); unknown at first.
    storage_id: Mapped[UUID | None] = mapped_column()
    # The earliest revision whose code works with this schema (ADR 28).
    compatible_from: Mapped[str] = mapped_column(String(4))
    # 32 random bytes, by which API keys and delete tokens are recognised, and addresses signed
    # where there is no SIGNING_KEY.
    secret: Mapped[bytes] = mapped_column(
        server_default=text(
            "decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')"
        )
    )
    # When fsck last came to an end, and what it found and did not repair; unknown until then.
    fsck_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    fsck_findings: Mapped[int | None] = mapped_column()
    # When a backup was last recorded.
    backup_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
