"""Who may fetch the files of a private image: by a signed address, or a key that reaches it."""

from collections.abc import Awaitable, Callable

from app.domain.actor import Actor, Right
from app.services.files import HotFile
from app.services.signing import AddressSigner, Signature


class Viewer:
    """Whoever asks for a file.

    Args:
        signer: Recognises addresses.
        variant: Which file of the image they ask for, as the address has it.
        signature: What the address has in its query, if anything.
        holder: Returns whose key they have sent, if any; asked for private files only.
    """

    __slots__ = ("_holder", "_signature", "_signer", "_variant", "until")

    def __init__(
        self,
        signer: AddressSigner,
        variant: str,
        signature: Signature | None,
        holder: Callable[[], Awaitable[Actor | None]],
    ) -> None:
        self._signer = signer
        self._variant = variant
        self._signature = signature
        self._holder = holder
        self.until: int | None = None
        """The second, since 1970, when the address expires by which they were admitted to a private
        file; None if it was another way."""

    async def may_fetch(self, file: HotFile) -> bool:
        """Return whether they may fetch a private file.

        Raises:
            DatabaseUnavailable: If that cannot be found out.
        """
        if (sent := self._signature) and await self._signer.is_valid(file.key, self._variant, sent):
            self.until = int(sent.expires)
            return True
        holder = await self._holder()
        return holder is not None and Right.READ in holder.rights and holder.reaches(file)
