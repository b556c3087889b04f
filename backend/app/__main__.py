"""`python -m app`: runs a command. Ctrl-C, SIGTERM or a closed terminal end it with one line."""

import sys

from app.runtime import signals

_EXIT_BY_SIGNAL = 128
"""Added to the number of the signal that has ended a command, as shells do."""


def main() -> int:
    """Run the command that the arguments name; return the exit status."""
    interruption = signals.Interruption()
    try:
        with signals.held():  # an interrupted import may swallow the exception
            from app.commands import arguments  # noqa: PLC0415
        return arguments.run(sys.argv[1:])
    except KeyboardInterrupt as error:
        number = interruption.signal_of(error)
        print(f"Stopped by {number.name}; run the command again to go on.", file=sys.stderr)
        return _EXIT_BY_SIGNAL + number
    finally:
        signals.ignore()  # only the end is left


if __name__ == "__main__":
    sys.exit(main())
