"""What a request for a file shows of who may fetch it."""

from typing import Annotated, Final

from fastapi import Depends, Query

from app.api.context import Context
from app.services.signing import Signature
from app.services.viewing import Viewer

_OF_ADDRESS: Final = "As in the address of a private image; of a public one it is not looked at"


async def _read_signature(
    expires: Annotated[str | None, Query(description=_OF_ADDRESS)] = None,
    key: Annotated[str | None, Query(description="The same")] = None,
    signature: Annotated[str | None, Query(description="The same")] = None,
) -> Signature | None:
    if expires is None or key is None or signature is None:
        return None
    return Signature(expires, key, signature)


SignatureDep = Annotated[Signature | None, Depends(_read_signature)]


def viewer_of(context: Context, variant: str, signature: Signature | None) -> Viewer:
    """Return who has sent a request for a file, its original or a thumbnail by its size."""
    return Viewer(context.services.signer, variant, signature, context.key_holder)
