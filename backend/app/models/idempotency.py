"""The tables of uploads that may be repeated: `idempotency_keys` and `idempotency_files`."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import CheckConstraint, DateTime, ForeignKeyConstraint, String, Text, func
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

MAX_KEY: Final = 255
MAX_SENDER: Final = 64


class IdempotencyKeyRow(Base):
    """A request with an Idempotency-Key, and its answer once there is one."""

    __tablename__ = "idempotency_keys"
    __table_args__ = (CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_length"),)

    # Whose key it is: those of one sender are none of another's business.
    sender: Mapped[str] = mapped_column(String(MAX_SENDER), primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY), primary_key=True)
    # Of the process that carries it out, and until when nobody else may.
    claim: Mapped[UUID] = mapped_column()
    claimed_until: Mapped[datetime] = mapped_column(DateTime(timezone=True))
    # SHA-256 of what was asked for; unknown until it has arrived.
    fingerprint: Mapped[bytes | None] = mapped_column()
    status: Mapped[int | None] = mapped_column()
    # Of the image that was stored: the only header field that an answer has besides its body.
    location: Mapped[str | None] = mapped_column(Text)
    answer: Mapped[bytes | None] = mapped_column()
    created_at: Mapped[datetime] = mapped_column(
        DateTime(timezone=True), server_default=func.now(), index=True
    )


class IdempotencyFileRow(Base):
    """A file of such a request that is stored: inserted in the transaction of its image."""

    __tablename__ = "idempotency_files"
    __table_args__ = (
        ForeignKeyConstraint(
            ["sender", "key"],
            ["idempotency_keys.sender", "idempotency_keys.key"],
            ondelete="CASCADE",
        ),
        CheckConstraint("octet_length(fingerprint) = 32", name="fingerprint_length"),
    )

    sender: Mapped[str] = mapped_column(String(MAX_SENDER), primary_key=True)
    key: Mapped[str] = mapped_column(String(MAX_KEY), primary_key=True)
    # In the request, from 0 on.
    position: Mapped[int] = mapped_column(primary_key=True)
    # SHA-256 of the file as it was sent.
    fingerprint: Mapped[bytes] = mapped_column()
    image_id: Mapped[UUID] = mapped_column()


IDEMPOTENCY_KEYS: Final = Base.metadata.tables["idempotency_keys"]
IDEMPOTENCY_FILES: Final = Base.metadata.tables["idempotency_files"]
