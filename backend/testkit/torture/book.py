"""What is known of a service from its answers."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

DELETES: Final = "deletes acknowledged"
"""What is counted of images, one by one, in the answers to single deletes and to batches."""


class BrokenPromise(AssertionError):
    """The service lost, kept or changed what it must not."""


def require(condition: bool, otherwise: str) -> None:
    """Raise BrokenPromise if a promise was not kept."""
    if not condition:
        raise BrokenPromise(otherwise)


@dataclass
class Book:
    """What the service has acknowledged to its clients."""

    stored: dict[str, int] = field(default_factory=dict)
    """Acknowledged by 201: id, and the number that its bytes come from."""
    deleted: set[str] = field(default_factory=set)
    """Acknowledged by 204, or in the answer to a batch."""
    unsure: dict[str, int] = field(default_factory=dict)
    """Stored, then a delete without an answer: gone or whole, nothing between."""
    names: dict[str, set[str]] = field(default_factory=dict)
    """The names that an image may have: the acknowledged one, and those without an answer since."""
    count: Counter[str] = field(default_factory=Counter)

    def begin_to_delete(self, ids: Iterable[str]) -> None:
        """Expect images to be gone or whole, until an answer says that they are gone."""
        self.unsure.update({one: self.stored.pop(one) for one in ids})

    def has_deleted(self, ids: Iterable[str]) -> None:
        """Expect images to be gone, which was acknowledged."""
        for one in ids:
            del self.unsure[one]
            self.deleted.add(one)
            self.count[DELETES] += 1

    def clear(self) -> None:
        """Forget all images."""
        self.stored.clear()
        self.deleted.clear()
        self.unsure.clear()
        self.names.clear()
