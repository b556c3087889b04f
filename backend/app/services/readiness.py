"""Whether what the service depends on can be used, asked at a cost that no number of askers raises.

Anyone may ask, as load balancers do several times a second, and strangers a thousand times.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context
from time import monotonic
from typing import Final

from app.domain.errors import ImageHostError

PROBE_INTERVAL: Final = 1.0
"""Seconds from the begin of one check to that of the next; until then its result is given again."""
PROBE_DEADLINE: Final = 5.0
"""Seconds for a check; one that takes longer counts as a failure, and no other begins beside it."""


class Probe:
    """Checks one dependency.

    Args:
        check: Raises an `ImageHostError` if the dependency cannot be used.
        overdue: The kind of error of a check that is not over by its deadline.
    """

    def __init__(
        self, check: Callable[[], Awaitable[None]], overdue: Callable[[], ImageHostError]
    ) -> None:
        self._check = check
        self._overdue = overdue
        self._begun = 0.0
        self._latest: asyncio.Task[ImageHostError | None] | None = None

    async def outage(self) -> ImageHostError | None:
        """Return why the dependency cannot be used, None if it can; not older than the interval."""
        check = self._latest
        if check is None or (check.done() and monotonic() - self._begun >= PROBE_INTERVAL):
            self._begun = monotonic()
            # For many who ask, so it logs under the id of none.
            check = self._latest = asyncio.create_task(self._failure(), context=Context())
        # Not wait_for, which would wait for the end of a check that cannot be cancelled.
        await asyncio.wait([check], timeout=self._begun + PROBE_DEADLINE - monotonic())
        if check.done():
            return check.result()
        error = self._overdue()
        error.__cause__ = TimeoutError()
        return error

    async def _failure(self) -> ImageHostError | None:
        try:
            await self._check()
        except ImageHostError as error:
            return error
        return None
