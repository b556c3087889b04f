"""The tables."""

from app.models.base import Base
from app.models.image import Image
from app.models.installation import Installation

__all__ = ["Base", "Image", "Installation"]
