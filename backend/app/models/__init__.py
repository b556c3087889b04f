"""The tables."""

from app.models.base import Base
from app.models.image import IMAGES, ImageRow
from app.models.installation import Installation

__all__ = ["IMAGES", "Base", "ImageRow", "Installation"]
