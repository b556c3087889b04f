"""What routes ask for, as annotated types.

Coroutines, though they wait for nothing: FastAPI would call a function in a thread.
"""

from ipaddress import IPv6Address, ip_address
from typing import Annotated, Final, TypedDict, cast

from fastapi import Depends, Request

from app.config import Settings
from app.services.catalog import IpAddress
from app.services.image_service import ImageService

IMAGES_PATH: Final = "/api/v1/images"


class State(TypedDict):
    """What the lifespan hands to every request."""

    settings: Settings
    service: ImageService


async def get_settings(request: Request) -> Settings:
    """Give the settings that the application was made with."""
    return cast("Settings", request.state.settings)


async def get_service(request: Request) -> ImageService:
    """Give the service that the lifespan opened."""
    return cast("ImageService", request.state.service)


async def get_images_url(request: Request) -> str:
    """Tell the absolute address of the collection of images, as clients reach it."""
    settings = await get_settings(request)
    base = settings.public_url or f"{request.url.scheme}://{request.url.netloc}"
    return base + IMAGES_PATH


async def get_client_address(request: Request) -> IpAddress | None:
    """Tell the address of the client; None where the transport has none."""
    if request.client is None:
        return None
    try:
        address = ip_address(request.client.host)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        return address.ipv4_mapped or IPv6Address(int(address))
    return address


SettingsDep = Annotated[Settings, Depends(get_settings)]
ServiceDep = Annotated[ImageService, Depends(get_service)]
ImagesUrl = Annotated[str, Depends(get_images_url)]
ClientAddress = Annotated[IpAddress | None, Depends(get_client_address)]
