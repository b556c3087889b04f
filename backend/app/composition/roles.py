"""The roles that a process may have, one row each (ADR 32)."""

from typing import Final, NamedTuple


class Role(NamedTuple):
    """What a process does, and what it needs for that."""

    name: str
    has_deadlines: bool
    """Whether each of its statements has a deadline, for somebody waits for it."""


SERVICE: Final = Role("service", has_deadlines=True)
WORKER: Final = Role("worker", has_deadlines=True)
METRICS: Final = Role("metrics", has_deadlines=True)
COMMAND: Final = Role("command", has_deadlines=False)
