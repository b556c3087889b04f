import asyncio
import signal

import pytest

from app.runtime import signals


class InterruptedPolicy(asyncio.DefaultEventLoopPolicy):
    """Makes event loops, in the middle of which the user presses Ctrl-C."""

    def new_event_loop(self) -> asyncio.AbstractEventLoop:
        class Loop(asyncio.SelectorEventLoop):
            def __init__(self) -> None:
                signal.raise_signal(signal.SIGINT)
                super().__init__()

        return Loop()


def test_a_signal_leaves_no_half_made_event_loop() -> None:
    """Closing one fails, in a place where that can only be printed; here it fails the test."""
    before = asyncio.get_event_loop_policy()
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    asyncio.set_event_loop_policy(InterruptedPolicy())
    work = asyncio.sleep(0)
    try:
        with pytest.raises(KeyboardInterrupt):
            signals.run(work)
    finally:
        work.close()
        asyncio.set_event_loop_policy(before)
        signal.signal(signal.SIGINT, handler)
