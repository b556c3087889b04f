"""Values that are remembered for a short while, in bounded memory."""

from collections import OrderedDict
from time import monotonic
from typing import Generic, TypeVar

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")


class ExpiringMap(Generic[_Key, _Value]):
    """Remembers values by their keys.

    Args:
        most: How many; the least recently used makes room.
        seconds: For how long.
    """

    def __init__(self, most: int, seconds: float) -> None:
        self._most = most
        self._seconds = seconds
        self._entries: OrderedDict[_Key, tuple[_Value | None, float]] = OrderedDict()

    def get(self, key: _Key) -> _Value | None:
        """Return a value, if it is remembered."""
        value, expires = self._entries.get(key, (None, 0.0))
        if value is None or monotonic() >= expires:
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: _Key, value: _Value, since: float) -> _Value:
        """Remember a value, and return it; `since` is of `time.monotonic`, when it was true."""
        self._entries[key] = value, since + self._seconds
        self._entries.move_to_end(key)
        if len(self._entries) > self._most:
            self._entries.popitem(last=False)
        return value
