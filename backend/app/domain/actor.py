"""Who asks for something."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Actor:
    """The sender of a request, as far as it has been authenticated."""

    has_api_key: bool = False


ANONYMOUS: Final = Actor()
API_KEY_HOLDER: Final = Actor(has_api_key=True)
