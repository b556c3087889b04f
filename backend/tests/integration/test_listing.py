"""Images are found by their ids, and listed to the last one."""

import asyncio
from uuid import UUID

import pytest

from app.domain.errors import (
    ImageNotFound,
)
from app.domain.image import Image, Position
from app.services.use_cases import Services
from testkit import samples
from testkit.uploads import (
    file,
)

JPEG = samples.jpeg()
PNG = samples.png()


async def test_the_list_ends_exactly_where_the_images_end(services: Services) -> None:
    made = [await services.uploads.upload(file(JPEG), None) for _ in range(4)]
    newest_first = [image.id for image in reversed(made)]
    page = await services.images.page(2, None)
    assert [image.id for image in page.items] == newest_first[:2]
    assert page.next == Position(made[2].created_at, made[2].id)
    page = await services.images.page(2, page.next)
    assert [image.id for image in page.items] == newest_first[2:]
    assert page.next is None
    assert (await services.images.page(4, None)).next is None


async def test_an_empty_list_is_a_page(services: Services) -> None:
    page = await services.images.page(20, None)
    assert (list(page.items), page.next) == ([], None)


async def test_an_unknown_image_is_not_found(services: Services) -> None:
    missing = UUID(int=1)
    with pytest.raises(ImageNotFound, match=str(missing)):
        await services.images.get(missing)


async def test_lookups_at_the_same_time_each_find_their_own_image(services: Services) -> None:
    images = [await services.uploads.upload(file(JPEG), None) for _ in range(5)]
    unknown = UUID(int=0)
    asked = [image.id for image in images for _ in range(3)] + [unknown]
    found = await asyncio.gather(*map(services.images.get, asked), return_exceptions=True)
    assert [image.id for image in found[:-1] if isinstance(image, Image)] == asked[:-1]
    assert isinstance(found[-1], ImageNotFound)
