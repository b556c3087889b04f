"""The `images` table: what is known of an image besides its bytes."""

from datetime import datetime
from typing import Any, Final
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    DateTime,
    ForeignKey,
    Index,
    SmallInteger,
    String,
    func,
    true,
)
from sqlalchemy.dialects.postgresql import ARRAY, INET, JSONB, TSVECTOR
from sqlalchemy.orm import Mapped, mapped_column

from app.domain.filenames import MAX_CHARACTERS
from app.domain.ip_address import IpAddress
from app.domain.thumbnails import MAX_RENDER_ERROR
from app.imaging.formats import ImageType
from app.models.base import Base

_TYPES = ", ".join(f"'{image_type}'" for image_type in ImageType)


class ImageRow(Base):
    """A stored image. A row is inserted by an upload and removed by a delete.

    Between the two nothing changes but what is unknown at first (`width`, `height`, `checksum` and
    `truncated`), once, to what the file says (see `app.services.backfill`), and so the metadata;
    what is known of the thumbnails, each time they are rendered; the file name; the visibility,
    with which the storage key changes; and the owner, who may be deleted.
    """

    __tablename__ = "images"
    __table_args__ = (
        CheckConstraint("char_length(filename) > 0", name="filename_not_empty"),
        CheckConstraint(f"content_type IN ({_TYPES})", name="content_type_accepted"),
        CheckConstraint("file_size > 0", name="file_size_positive"),
        CheckConstraint("width > 0", name="width_positive"),
        CheckConstraint("height > 0", name="height_positive"),
        CheckConstraint("octet_length(checksum) = 32", name="checksum_length"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    filename: Mapped[str] = mapped_column(String(MAX_CHARACTERS))
    # Ordered by bytes, as storages list their objects; fsck iterates over both side by side.
    storage_key: Mapped[str] = mapped_column(String(64, collation="C"), unique=True)
    content_type: Mapped[str] = mapped_column(String(32))
    file_size: Mapped[int] = mapped_column(BigInteger)
    upload_ip: Mapped[IpAddress | None] = mapped_column(INET)
    created_at: Mapped[datetime] = mapped_column(DateTime(timezone=True), server_default=func.now())
    # Pixels, as a viewer shows the image; both unknown where its header has no size.
    width: Mapped[int | None] = mapped_column()
    height: Mapped[int | None] = mapped_column()
    # SHA-256 of the stored bytes; unknown in rows of earlier versions (ADR 26).
    checksum: Mapped[bytes | None] = mapped_column()
    # Whether the file ends before its image does; unknown where that cannot be determined.
    truncated: Mapped[bool | None] = mapped_column()
    # ThumbHash, shown while a thumbnail loads; unknown until the image is rendered.
    placeholder: Mapped[bytes | None] = mapped_column()
    # When the thumbnails were rendered, which is part of their keys (see `app.domain.thumbnails`).
    rendered_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # Longest sides of the thumbnails that there are, in pixels.
    thumbnail_sizes: Mapped[list[int] | None] = mapped_column(ARRAY(SmallInteger))
    # Why there can be none, in one sentence.
    render_error: Mapped[str | None] = mapped_column(String(MAX_RENDER_ERROR))
    # What cameras and programs wrote into the file (see `app.domain.metadata`); unknown until it
    # is extracted. SQLAlchemy's classes have an attribute of the column's name.
    extracted: Mapped[dict[str, Any] | None] = mapped_column("metadata", JSONB(none_as_null=True))
    # When its name or visibility was last changed; unknown until then.
    updated_at: Mapped[datetime | None] = mapped_column(DateTime(timezone=True))
    # The terms that find it (see `app.domain.search`); unknown in rows of earlier versions.
    search: Mapped[str | None] = mapped_column(TSVECTOR)
    # Who uploaded it; unknown where that was without a user's key, or the user has been deleted.
    owner_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    # Whether anybody may fetch its file; others need a key, or a signed address.
    is_public: Mapped[bool] = mapped_column(server_default=true())


IMAGES: Final = Base.metadata.tables["images"]
"""For statements whose rows leave as plain values: without the ORM, they are read faster."""

Index(None, ImageRow.created_at.desc(), ImageRow.id.desc())
Index(None, ImageRow.content_type, ImageRow.created_at.desc(), ImageRow.id.desc())
Index(None, ImageRow.upload_ip, ImageRow.created_at)
Index(
    None,
    ImageRow.owner_id,
    ImageRow.created_at.desc(),
    ImageRow.id.desc(),
    postgresql_where=ImageRow.owner_id.is_not(None),
)
Index(None, ImageRow.checksum, ImageRow.created_at.desc(), ImageRow.id.desc())
Index(
    None,
    ImageRow.search,
    postgresql_using="gin",
    # Or else now and then an upload waits while the terms of thousands of others are sorted in.
    postgresql_with={"fastupdate": "off"},
)
