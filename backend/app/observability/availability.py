"""What the process needs and cannot use at the moment: one line when that begins, one when it ends.

The same however it was noticed, by a request, a job or a check, and however many noticed it.
"""

import logging
from time import monotonic

_log = logging.getLogger(__name__)


class Availability:
    """Whether one dependency can be used, as far as the process knows; it begins as available.

    Args:
        name: What the log calls it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._since: float | None = None
        """When it was found to be unavailable, by the monotonic clock."""

    @property
    def is_available(self) -> bool:
        """Whether it could be used when it was last found out."""
        return self._since is None

    def lose(self, reason: str) -> None:
        """Record that it is unavailable, and log why unless that is known."""
        if self._since is None:
            self._since = monotonic()
            _log.warning("the %s is unavailable: %s", self._name, reason)

    def regain(self) -> None:
        """Record that it is available, and log for how long it was not."""
        if self._since is not None:
            seconds = monotonic() - self._since
            self._since = None
            _log.warning("the %s is available again after %.1f s", self._name, seconds)
