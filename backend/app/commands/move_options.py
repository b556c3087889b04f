"""The options of `move-storage`."""

import argparse

from app.config.storage_url import LOCAL, storage_place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    for name, into, what in (
        ("--from", "source", "where the files are"),
        ("--to", "destination", "where they are to be"),
    ):
        parser.add_argument(
            name,
            dest=into,
            type=_storage,
            required=True,
            metavar="STORAGE",
            help=f'{what}: "{LOCAL}" for the folder below DATA_DIR, or s3://… as in STORAGE_URL',
        )


def _storage(text: str) -> str:
    try:
        storage_place(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"it {error}") from error
    return text
