"""The tables."""

from app.models.base import Base
from app.models.idempotency import IDEMPOTENCY_FILES, IDEMPOTENCY_KEYS
from app.models.image import IMAGES, ImageRow
from app.models.installation import Installation
from app.models.statistics import IMAGE_STATISTICS
from app.models.user import API_KEYS, USERS

__all__ = [
    "API_KEYS",
    "IDEMPOTENCY_FILES",
    "IDEMPOTENCY_KEYS",
    "IMAGES",
    "IMAGE_STATISTICS",
    "USERS",
    "Base",
    "ImageRow",
    "Installation",
]
