"""Search by name and metadata; renaming.

Lock, first step: ACCESS EXCLUSIVE, for milliseconds whatever the number of rows. New columns
without a default change the catalog only.

Lock, of each index: SHARE UPDATE EXCLUSIVE. Reads and writes go on beside it; it takes about half
a second per million rows while `search` is still empty, and waits for transactions that began
before it.

The steps are transactions of their own, and each can be repeated: an index that a broken attempt
has left unfinished is dropped first.
"""

from alembic import op

revision = "0007"
down_revision = "0006"
compatible_from = "0001"

_INDEXES = {
    "ix_images_search": "USING gin (search) WITH (fastupdate = off)",
    "ix_images_content_type_created_at_id": "(content_type, created_at DESC, id DESC)",
}


def upgrade() -> None:
    """Add the columns; then index them and the type, beside what goes on."""
    op.execute(
        "ALTER TABLE images ADD COLUMN IF NOT EXISTS updated_at TIMESTAMPTZ, "
        "ADD COLUMN IF NOT EXISTS search TSVECTOR"
    )
    with op.get_context().autocommit_block():
        for name, definition in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON images {definition}")


def downgrade() -> None:
    """Drop the columns and the indexes: the catalog only. Names stay as they were changed."""
    op.execute("DROP INDEX IF EXISTS ix_images_content_type_created_at_id")
    op.execute("ALTER TABLE images DROP COLUMN IF EXISTS updated_at, DROP COLUMN IF EXISTS search")
