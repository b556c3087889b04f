"""The index of what is to be invalidated in the cache, about which each process asks (ADR 50).

Lock: SHARE UPDATE EXCLUSIVE. Reads and writes go on beside it; it takes a scan of the jobs that
there are, a second per million, and waits for transactions that began before it. It can be
repeated: an index that a broken attempt has left unfinished is dropped first.
"""

from alembic import op

revision = "0008"
down_revision = "0007"
compatible_from = "0001"

_INDEX = "ix_procrastinate_jobs_invalidate"


def upgrade() -> None:
    """Make the index, beside what goes on."""
    with op.get_context().autocommit_block():
        op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {_INDEX}")
        op.execute(
            f"CREATE INDEX CONCURRENTLY {_INDEX} ON procrastinate_jobs (id) "
            "WHERE task_name = 'invalidate'"
        )


def downgrade() -> None:
    """Drop the index: the catalog only. Its jobs stay; no earlier version takes them."""
    op.execute(f"DROP INDEX IF EXISTS {_INDEX}")
