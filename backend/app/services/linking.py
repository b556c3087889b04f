"""Having the bytes of an object under another key too, in any storage."""

from app.storage.abilities import Links
from app.storage.base import StorageBackend


async def link(storage: StorageBackend, key: str, new_key: str, content_type: str) -> None:
    """Make an object of the bytes of another one, durable when this returns, at the least cost.

    Args:
        storage: Where both are.
        key: That of the object.
        new_key: The other.
        content_type: Of both.

    Raises:
        ObjectNotFound: If there is none under `key`.
        StorageError: If the new one may not be there; or it may be, all the same.
    """
    if isinstance(storage, Links) and await storage.link(key, new_key):
        return
    reader = await storage.open(key)
    try:
        staged = await storage.stage(new_key, content_type)
        try:
            while block := await reader.read():
                await staged.write(bytes(block))
            await staged.publish()
        except BaseException:
            await staged.discard()
            raise
    finally:
        await reader.close()
