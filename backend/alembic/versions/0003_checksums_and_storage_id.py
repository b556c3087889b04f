"""SHA-256 of each file, whether it is truncated, and the table `installation`.

Lock, first step: ACCESS EXCLUSIVE, for milliseconds whatever the number of rows. New columns
without a default change the catalog only, and a check that is NOT VALID reads no row. The table
`installation` is new, so nobody waits for it.

Lock, second step: SHARE UPDATE EXCLUSIVE, while all rows are read once. Reads and writes go on
beside it; only other changes of the schema and VACUUM wait.

The steps are transactions of their own, and the first can be repeated, as in 0002.
"""

from alembic import op

revision = "0003"
down_revision = "0002"
compatible_from = "0001"


def upgrade() -> None:
    """Add the columns, their check and the table; then validate the check for existing rows."""
    op.execute(
        """
        ALTER TABLE images
            ADD COLUMN IF NOT EXISTS checksum BYTEA,
            ADD COLUMN IF NOT EXISTS truncated BOOLEAN,
            DROP CONSTRAINT IF EXISTS ck_images_checksum_length,
            ADD CONSTRAINT ck_images_checksum_length
                CHECK (octet_length(checksum) = 32) NOT VALID
        """
    )
    op.execute(
        """
        CREATE TABLE IF NOT EXISTS installation (
            only_row BOOLEAN DEFAULT true NOT NULL,
            storage_id UUID,
            compatible_from VARCHAR(4) NOT NULL,
            CONSTRAINT pk_installation PRIMARY KEY (only_row),
            CONSTRAINT ck_installation_only_row CHECK (only_row)
        )
        """
    )
    with op.get_context().autocommit_block():
        pass  # commits: what follows is a transaction of its own
    op.execute("ALTER TABLE images VALIDATE CONSTRAINT ck_images_checksum_length")


def downgrade() -> None:
    """Drop them: ACCESS EXCLUSIVE, and again the catalog only.

    `make backfill` reads checksums from the files again, though of a file that has been corrupted
    since its upload it then takes the wrong one. The folder keeps the storage's id.
    """
    op.execute("DROP TABLE IF EXISTS installation")
    op.execute("ALTER TABLE images DROP COLUMN IF EXISTS checksum, DROP COLUMN IF EXISTS truncated")
