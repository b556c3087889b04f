"""The tables `users` and `api_keys`: who may do what."""

from datetime import datetime
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, DateTime, ForeignKey, Index, String, func, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base

MAX_EMAIL: Final = 254
"""Characters of an address (RFC 5321, section 4.5.3.1.3, less its angle brackets)."""
MAX_PREFIX: Final = 16


class UserRow(Base):
    """Somebody who owns images."""

    __tablename__ = "users"
    __table_args__ = (
        CheckConstraint("role IN ('user', 'admin')", name="role_known"),
        CheckConstraint("quota_bytes >= 0", name="quota_bytes_not_negative"),
        CheckConstraint("quota_images >= 0", name="quota_images_not_negative"),
        CheckConstraint("deletion IN ('delete', 'keep')", name="deletion_known"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(String(MAX_EMAIL))
    role: Mapped[str] = mapped_column(String(8), server_default="user")
    # Most that their originals may be in all; unlimited where unknown.
    quota_bytes: Mapped[int | None] = mapped_column(BigInteger)
    quota_images: Mapped[int | None] = mapped_column()
    # What their originals are in all, changed in the transactions that insert and delete rows.
    used_bytes: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    used_images: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    # Since when their keys are refused; None while they are not.
    disabled_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # What a job does with their images before it deletes the row; None while none is to.
    deletion: Mapped[str | None] = mapped_column(String(8))


class ApiKeyRow(Base):
    """A key of a user; its secret is shown once, and not stored."""

    __tablename__ = "api_keys"
    __table_args__ = (CheckConstraint("octet_length(digest) = 32", name="digest_length"),)

    id: Mapped[UUID] = mapped_column(primary_key=True)
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"), index=True)
    # How the key begins, which people recognise it by.
    prefix: Mapped[str] = mapped_column(String(MAX_PREFIX), unique=True)
    # HMAC-SHA256 of the whole key, by the secret of the installation.
    digest: Mapped[bytes] = mapped_column()
    scopes: Mapped[list[str]] = mapped_column(ARRAY(String(8)))
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    expires_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # To the minute or so; unknown until then.
    last_used_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    revoked_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))


Index("uq_users_email", func.lower(UserRow.email), unique=True)

USERS: Final = Base.metadata.tables["users"]
API_KEYS: Final = Base.metadata.tables["api_keys"]
