"""Indexes of the jobs that are taken, and of those that invalidate a cache (ADR 53).

Lock, of each index: SHARE UPDATE EXCLUSIVE. Workers go on beside it; it takes a third of a second
per million jobs, and waits for transactions that began before it. Dropping waits for statements on
the table, and nobody waits for it.

Each step can be repeated: an index that a broken attempt has left unfinished is dropped first.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
compatible_from = "0001"

_NEW = {
    # What takes up lost jobs asks for the one, the foreign key of workers that end for the other.
    "ix_procrastinate_jobs_taken": "(worker_id) WHERE status = 'doing' OR worker_id IS NOT NULL",
    "ix_procrastinate_jobs_invalidate": "(id) WHERE task_name = 'invalidate'",
}
_PREVIOUS = {
    "idx_procrastinate_jobs_worker_not_null": (
        "(worker_id) WHERE worker_id IS NOT NULL AND status = 'doing'"
    ),
}


def upgrade() -> None:
    """Create them, and drop the one that no statement could use."""
    _replace(_PREVIOUS, _NEW)


def downgrade() -> None:
    """Restore the index of procrastinate's schema."""
    _replace(_NEW, _PREVIOUS)


def _replace(previous: dict[str, str], new: dict[str, str]) -> None:
    with op.get_context().autocommit_block():
        for name, definition in new.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON procrastinate_jobs {definition}")
        for name in previous:
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
