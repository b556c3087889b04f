"""The signals that end a process: Ctrl-C, SIGTERM, and the SIGHUP of a closed terminal."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Final, TypeVar

ENDING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

_T = TypeVar("_T")


@contextmanager
def held() -> Iterator[None]:
    """Keep the signals pending until the end of the block.

    A process that is started in the block inherits the mask.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def run(main: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine as `asyncio.run` does, and let no signal interrupt the making of its loop.

    A loop that is half made cannot be closed, which the interpreter reports by a traceback.
    """
    runner = asyncio.Runner()
    try:
        with held():
            runner.get_loop()
        return runner.run(main)
    finally:
        runner.close()


def release() -> None:
    """Unblock the signals that a parent process has held."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, ENDING)


def are_pending() -> bool:
    """Return whether one of the signals is pending in `held`."""
    pending = signal.sigpending()
    return any(n in pending and signal.getsignal(n) != signal.SIG_IGN for n in ENDING)


def handle(handler: "signal._HANDLER", *numbers: int) -> None:
    """Set a handler, but leave SIGHUP ignored where `nohup` has set that."""
    for number in numbers:
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, handler)


def ignore() -> None:
    """Ignore the signals from now on."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def stop_event(*numbers: int) -> asyncio.Event:
    """Return an event that the first of the signals sets; a second Ctrl-C cancels this task."""
    stopping = asyncio.Event()
    loop, task = asyncio.get_running_loop(), asyncio.current_task()

    def stop(number: int) -> None:
        if stopping.is_set() and number == signal.SIGINT and task:
            task.cancel()
        stopping.set()

    def schedule(number: int, _frame: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed, and nothing is left to stop
            loop.call_soon_threadsafe(stop, number)

    handle(schedule, *numbers)
    return stopping


class Interrupted(KeyboardInterrupt):
    """A signal, whose number is the argument, has ended a start."""


class Interruption:
    """Makes SIGTERM and SIGHUP end a command as Ctrl-C does: by KeyboardInterrupt.

    Through the handler of SIGINT, which `asyncio.run` replaces so as to cancel what it runs.
    """

    def __init__(self) -> None:
        self._number: int = signal.SIGINT
        handle(signal.default_int_handler, signal.SIGINT)
        handle(self._interrupt, signal.SIGTERM, signal.SIGHUP)

    def signal_of(self, error: KeyboardInterrupt) -> signal.Signals:
        """Return the signal that has caused the exception; SIGINT may stand for another one."""
        number = error.args[0] if isinstance(error, Interrupted) else signal.SIGINT
        return signal.Signals(self._number if number == signal.SIGINT else number)

    def _interrupt(self, number: int, _frame: FrameType | None) -> None:
        self._number = number
        signal.raise_signal(signal.SIGINT)
