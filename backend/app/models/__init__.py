"""The tables."""

from app.models.base import Base
from app.models.image import Image

__all__ = ["Base", "Image"]
