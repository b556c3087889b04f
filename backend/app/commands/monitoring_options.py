"""The options of `monitoring`."""

import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    for option, default, program in (
        ("--port", 9090, "Prometheus"),
        ("--alertmanager-port", 9093, "Alertmanager"),
    ):
        parser.add_argument(
            option,
            type=int,
            default=default,
            metavar="PORT",
            help=f"where {program} listens, on this machine alone (default: {default})",
        )
