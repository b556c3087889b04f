"""Settings of clients that people use, for the address at which they reach the service."""

from typing import Final

from fastapi import APIRouter, Response

from app.api.context import ContextDep
from app.api.images.paths import UPLOAD_PATH
from app.api.problems.kinds import UNKNOWN_HOST
from app.api.problems.openapi import documented
from app.domain.actor import Access
from app.schemas.clients import ShareXOut

SHAREX_PATH: Final = "/api/v1/clients/sharex.sxcu"
_THUMBNAIL: Final = 300
"""Pixels of the thumbnail that ShareX shows, or as near as there is one."""

router = APIRouter(tags=["clients"])


@router.head(SHAREX_PATH, include_in_schema=False)
@router.get(
    SHAREX_PATH,
    summary="Get the settings of ShareX",
    response_model_exclude_unset=True,
    responses=documented(UNKNOWN_HOST),
)
async def get_sharex_settings(context: ContextDep, response: Response) -> ShareXOut:
    """Return a custom uploader, which ShareX imports when the file is opened.

    Where uploading needs a key, `YOUR-KEY` stands for it.

    `curl -OJ http://localhost:8000/api/v1/clients/sharex.sxcu`
    """
    settings = context.settings
    sxcu: ShareXOut = {
        "Version": "15.0.0",
        "DestinationType": "ImageUploader",
        "RequestMethod": "POST",
        "RequestURL": context.base_url + UPLOAD_PATH,
        "Body": "MultipartFormData",
        "FileFormName": "file",
        "URL": "{json:url}",
        "DeletionURL": "{json:delete_url}",
        "ErrorMessage": "{json:detail}",
    }
    if settings.effective_access is Access.KEYS:
        sxcu["Headers"] = {"Authorization": "Bearer YOUR-KEY"}
    if sizes := settings.thumbnail_sizes:
        size = min(sizes, key=lambda size: abs(size - _THUMBNAIL))
        sxcu["ThumbnailURL"] = f"{{json:thumbnails.{size}.url}}"
    response.headers["Content-Disposition"] = 'attachment; filename="image-host.sxcu"'
    return sxcu
