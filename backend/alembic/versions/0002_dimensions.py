"""Width and height in pixels, unknown at first.

Lock, first step: ACCESS EXCLUSIVE, for milliseconds whatever the number of rows. New columns
without a default change the catalog only, and a check that is NOT VALID reads no row.

Lock, second step: SHARE UPDATE EXCLUSIVE, while all rows are read once. Reads and writes go on
beside it; only other changes of the schema and VACUUM wait.

The steps are transactions of their own, and the first can be repeated: what is stopped between
the two goes on from the start.
"""

from alembic import op

revision = "0002"
down_revision = "0001"
compatible_from = "0001"


def upgrade() -> None:
    """Add the columns and their checks; then validate the checks for existing rows."""
    op.execute(
        """
        ALTER TABLE images
            ADD COLUMN IF NOT EXISTS width INTEGER,
            ADD COLUMN IF NOT EXISTS height INTEGER,
            DROP CONSTRAINT IF EXISTS ck_images_width_positive,
            DROP CONSTRAINT IF EXISTS ck_images_height_positive,
            ADD CONSTRAINT ck_images_width_positive CHECK (width > 0) NOT VALID,
            ADD CONSTRAINT ck_images_height_positive CHECK (height > 0) NOT VALID
        """
    )
    with op.get_context().autocommit_block():
        pass  # commits: what follows is a transaction of its own
    op.execute(
        """
        ALTER TABLE images
            VALIDATE CONSTRAINT ck_images_width_positive,
            VALIDATE CONSTRAINT ck_images_height_positive
        """
    )


def downgrade() -> None:
    """Drop the columns: ACCESS EXCLUSIVE, and again the catalog only.

    Nothing is lost that `backfill-dimensions` does not read from the files again.
    """
    op.execute("ALTER TABLE images DROP COLUMN IF EXISTS width, DROP COLUMN IF EXISTS height")
