"""Images as clients see them, with addresses that work for whoever has asked."""

from collections.abc import Iterable
from typing import TypeVar

from app.api.context import Context
from app.domain.image import Image
from app.schemas.image import ImageOut

_Shown = TypeVar("_Shown", bound=ImageOut)


async def show_all(context: Context, images: Iterable[Image]) -> list[ImageOut]:
    """Return images as their list has them.

    Raises:
        DatabaseUnavailable: If the addresses of a private one cannot be signed.
    """
    return [await show(context, image, ImageOut) for image in images]


async def show(context: Context, image: Image, model: type[_Shown], **details: object) -> _Shown:
    """Return an image.

    Args:
        context: Of the request.
        image: The image.
        model: Which of its models, and `details` what that has besides.
        details: The same.

    Raises:
        DatabaseUnavailable: If the addresses of a private image cannot be signed.
    """
    sizes = context.settings.thumbnail_sizes
    queries = await context.services.signer.queries(image, sizes)
    return model.of(image, context.images_url, sizes, queries, **details)
