"""The keys of a store: those of the settings, or what botocore finds where AWS's own tools look."""

import asyncio
import logging
from time import monotonic
from typing import TYPE_CHECKING, Final

from app.domain.errors import StorageUnavailable
from app.observability.reasons import reason
from app.storage.s3.refusals import StoreFailure
from app.storage.s3.signing import Keys

if TYPE_CHECKING:
    from botocore.credentials import Credentials as Found

FIND_SECONDS: Final = 10.0
"""How long a request waits for credentials."""
CHECK_SECONDS: Final = 60.0
"""How often temporary credentials are looked at. botocore renews them 15 minutes before their end,
so a failure leaves time for other attempts."""

_log = logging.getLogger(__name__)


class Credentials:
    """The keys of this process, renewed as they run out.

    Without keys of the settings they are searched for in the environment, the files of AWS's tools,
    and the services for roles of instances, containers and web identities; with a profile only
    where that says.
    """

    def __init__(
        self, access_key: str = "", secret_key: str = "", token: str = "", *, profile: str = ""
    ) -> None:
        self._profile = profile
        self._keys = Keys(access_key, secret_key, token) if access_key else None
        self._found: Found | None = None
        self._valid_until = float("inf") if self._keys else 0.0
        self._search: asyncio.Task[None] | None = None

    @property
    def current(self) -> Keys:
        """The keys as of the last request.

        Raises:
            StorageUnavailable: If there was none yet.
        """
        if self._keys is None:
            raise StorageUnavailable from StoreFailure("the credentials were not asked for yet")
        return self._keys

    async def get(self) -> Keys:
        """Return the keys, which may have to be waited for.

        Raises:
            StorageUnavailable: If there are none.
        """
        if self._keys is None or monotonic() >= self._valid_until:
            await self.renew()
        return self.current

    async def renew(self) -> None:
        """Ask for the keys again; where that fails, those that are there are kept.

        Raises:
            StorageUnavailable: If it fails and there are none.
        """
        if self._search is None or self._search.done():
            self._search = asyncio.create_task(self._look())
        try:
            async with asyncio.timeout(FIND_SECONDS):
                await asyncio.shield(self._search)
        except Exception as error:
            failed = StorageUnavailable()
            failed.__cause__ = error
            if self._keys is None:
                raise failed from error
            _log.warning("the credentials of the store cannot be renewed: %s", reason(failed))
            self._valid_until = monotonic() + CHECK_SECONDS

    async def _look(self) -> None:
        keys = await asyncio.to_thread(self._look_here)
        if keys is None:
            raise StoreFailure(
                "there are no credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or "
                "give this machine a role"
            )
        self._keys = keys
        self._valid_until = monotonic() + CHECK_SECONDS

    def _look_here(self) -> Keys | None:
        """Return the keys that botocore finds, or has found and maybe renews: that may block."""
        if self._found is None:
            from botocore.config import Config  # noqa: PLC0415 - 110 ms and 20 MB, if needed
            from botocore.session import Session  # noqa: PLC0415

            session = Session(profile=self._profile or None)
            deadlines = Config(connect_timeout=FIND_SECONDS / 2, read_timeout=FIND_SECONDS / 2)
            session.set_default_client_config(deadlines)
            self._found = session.get_credentials()
        if self._found is None:
            return None
        found = self._found.get_frozen_credentials()
        return Keys(found.access_key or "", found.secret_key or "", found.token or "")
