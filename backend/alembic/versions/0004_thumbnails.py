"""What is known of an image's thumbnails, and its placeholder.

Lock: ACCESS EXCLUSIVE, for milliseconds whatever the number of rows: new columns without a default
change the catalog only.
"""

from alembic import op

revision = "0004"
down_revision = "0003"
compatible_from = "0001"


def upgrade() -> None:
    """Add the columns; in rows of earlier versions they say that nothing is rendered yet."""
    op.execute(
        """
        ALTER TABLE images
            ADD COLUMN IF NOT EXISTS placeholder BYTEA,
            ADD COLUMN IF NOT EXISTS rendered_at TIMESTAMP WITH TIME ZONE,
            ADD COLUMN IF NOT EXISTS thumbnail_sizes SMALLINT[],
            ADD COLUMN IF NOT EXISTS render_error VARCHAR(200)
        """
    )


def downgrade() -> None:
    """Drop them: ACCESS EXCLUSIVE, and again the catalog only.

    The files of thumbnails stay; `make fsck` of a later version removes them.
    """
    op.execute(
        """
        ALTER TABLE images
            DROP COLUMN IF EXISTS placeholder,
            DROP COLUMN IF EXISTS rendered_at,
            DROP COLUMN IF EXISTS thumbnail_sizes,
            DROP COLUMN IF EXISTS render_error
        """
    )
