"""Names of statements, by which operators recognise them: `images.find_images` (ADR 70)."""

from types import CodeType, FrameType
from typing import Final

from greenlet import getcurrent  # type: ignore[import-untyped]  # it has none

UNNAMED: Final = "other"
"""For what no function of these modules executes."""

_ROOMS: Final = ("app.statements.", "app.database.")
_QUEUE: Final = "procrastinate.manager"


class StatementNames:
    """Finds the names of statements while they are executed.

    A statement is named for the module and the public function that executes it; of those that
    call each other, for the innermost. SQLAlchemy executes it in a greenlet, whose parent is what
    awaits the statement.
    """

    def __init__(self) -> None:
        self._known: dict[CodeType, str] = {}

    def current(self) -> str:
        """Return the name of the statement that this greenlet executes."""
        frame: FrameType | None = getcurrent().parent.gr_frame
        while frame:
            name = self._known.get(frame.f_code)
            if name is None:
                name = self._known[frame.f_code] = _name(frame)
            if name:
                return name
            frame = frame.f_back
        return UNNAMED


def _name(frame: FrameType) -> str:
    """Return the name of the statements of a function; empty if it is for none."""
    module: str = frame.f_globals.get("__name__", "")
    function = frame.f_code.co_name
    if function.startswith("_"):
        return ""
    if module.startswith(_ROOMS):
        return f"{module.rpartition('.')[2]}.{function}"
    return f"queue.{function}" if module == _QUEUE else ""
