"""Making the terms by which images of earlier versions are found, from their rows.

Safe beside a running service, and beside another run: rows are locked for the moment in which their
terms are made, and those that have terms are passed over.
"""

from collections.abc import Callable
from typing import Final

from app.database.engine import Database
from app.statements.search import count_without_terms, make_terms

ROWS_AT_ONCE: Final = 1000
"""Rows of one short transaction, with terms already or not."""


class SearchBackfill:
    """Makes the terms of images that have none.

    Args:
        database: Where the rows are.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    async def count(self) -> int:
        """Return how many images have no terms.

        Raises:
            DatabaseUnavailable: If the database cannot be asked.
        """
        async with self._database.read() as session:
            return await count_without_terms(session)

    async def run(self, progress: Callable[[int], object]) -> None:
        """Make the terms of every image; report how many have got some, again and again.

        Raises:
            DatabaseUnavailable: If the rows cannot all be read and written.
        """
        last: str | None = ""
        while last is not None:
            async with self._database.write() as session:
                made, last = await make_terms(session, last, ROWS_AT_ONCE)
            progress(made)
