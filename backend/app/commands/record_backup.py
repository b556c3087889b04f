"""The command that ends a backup: `python -m app record-backup`."""

from typing import Final

from app.commands import runner
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.services.maintenance import record_backup

EXIT_RECORDED: Final = 0
EXIT_NOT_RECORDED: Final = 1


def run(settings: Settings) -> int:
    """Record that a backup has been made now.

    Returns:
        0 = recorded, 1 = not, and why.
    """
    return runner.run(settings, _record, "Not recorded", EXIT_NOT_RECORDED)


async def _record(resources: Resources) -> int:
    await require_head(resources.database)
    await record_backup(resources.database)
    print("The backup is recorded")
    return EXIT_RECORDED
