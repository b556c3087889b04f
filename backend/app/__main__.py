"""`python -m app`: runs a command, which Ctrl-C, SIGTERM and a closed terminal end in one line."""

import sys

from app.runtime import signals

_EXIT_BY_SIGNAL = 128
"""The exit status of what a signal has ended is this and its number, as shells have it."""


def main() -> int:
    """Run the command that the arguments name; return the exit status."""
    interruption = signals.Interruption()
    try:
        with signals.held():  # an import that an exception breaks off may hide it
            from app.commands import arguments  # noqa: PLC0415
        return arguments.run(sys.argv[1:])
    except KeyboardInterrupt as error:
        number = interruption.signal_of(error)
        print(f"Stopped by {number.name}; run the command again to go on.", file=sys.stderr)
        return _EXIT_BY_SIGNAL + number
    finally:
        signals.ignore()  # what is left is to end


if __name__ == "__main__":
    sys.exit(main())
