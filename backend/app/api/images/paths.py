"""The URL paths of images."""

import re
from typing import Final

from starlette.convertors import UUIDConvertor

IMAGES_PATH: Final = "/api/v1/images"
UPLOAD_PATH: Final = f"{IMAGES_PATH}/upload"
BATCH_PATH: Final = f"{IMAGES_PATH}/batch"
BATCH_DELETE_PATH: Final = f"{IMAGES_PATH}/batch-delete"
COUNT_PATH: Final = f"{IMAGES_PATH}/count"
IMAGE_PATH: Final = IMAGES_PATH + "/{image_id:uuid}"
LINKS_PATH: Final = f"{IMAGE_PATH}/links"
FILE_PATH: Final = f"{IMAGE_PATH}/file"
THUMBNAIL_PATH: Final = f"{IMAGE_PATH}/thumbnails/{{size}}"
STATISTICS_PATH: Final = f"{IMAGE_PATH}/statistics"

FILE_URL: Final = re.compile(
    f"{IMAGES_PATH}/({UUIDConvertor.regex})/(?:file|thumbnails/([^/]+))(/?)"
)
"""Matches the path of a file: its image's id, of a thumbnail its size, and a trailing slash, from
which a redirect leads."""
