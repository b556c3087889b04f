"""The table `image_statistics`: how often images are downloaded."""

from datetime import date
from typing import Final
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from app.models.base import Base


class ImageStatisticsRow(Base):
    """The downloads of an image on a day, UTC."""

    __tablename__ = "image_statistics"

    image_id: Mapped[UUID] = mapped_column(
        ForeignKey("images.id", ondelete="CASCADE"), primary_key=True
    )
    day: Mapped[date] = mapped_column(primary_key=True)
    downloads: Mapped[int] = mapped_column(BigInteger)
    bytes_sent: Mapped[int] = mapped_column("bytes", BigInteger)


IMAGE_STATISTICS: Final = Base.metadata.tables["image_statistics"]
