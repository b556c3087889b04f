"""When fsck was last run, and what it found; when a backup was last made.

Lock: ACCESS EXCLUSIVE on `installation`, for milliseconds; it has one row.
"""

from alembic import op

revision = "0012"
down_revision = "0011"
compatible_from = "0009"


def upgrade() -> None:
    """Add the columns."""
    op.execute(
        """
        ALTER TABLE installation
            ADD COLUMN IF NOT EXISTS fsck_at TIMESTAMPTZ,
            ADD COLUMN IF NOT EXISTS fsck_findings INTEGER,
            ADD COLUMN IF NOT EXISTS backup_at TIMESTAMPTZ
        """
    )


def downgrade() -> None:
    """Drop them, and what was recorded."""
    op.execute(
        "ALTER TABLE installation DROP COLUMN fsck_at, DROP COLUMN fsck_findings, "
        "DROP COLUMN backup_at"
    )
