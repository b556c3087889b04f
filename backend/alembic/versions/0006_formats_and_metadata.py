"""GIF, WebP, AVIF and HEIC; and what cameras and programs wrote into an image.

Lock, first step: ACCESS EXCLUSIVE, for milliseconds whatever the number of rows. A new column
without a default changes the catalog only, and a check that is NOT VALID reads no row.

Lock, second step: SHARE UPDATE EXCLUSIVE, while all rows are read once. Reads and writes go on
beside it; only other changes of the schema and VACUUM wait.

The steps are transactions of their own, and the first can be repeated, as in 0002.
"""

from alembic import op

revision = "0006"
down_revision = "0005"
compatible_from = "0001"

BEFORE = "'image/jpeg', 'image/png'"
ACCEPTED = f"{BEFORE}, 'image/gif', 'image/webp', 'image/avif', 'image/heic'"


def upgrade() -> None:
    """Add the column, and accept the types; then validate the check for existing rows."""
    op.execute(f"ALTER TABLE images ADD COLUMN IF NOT EXISTS metadata JSONB, {_accept(ACCEPTED)}")
    with op.get_context().autocommit_block():
        pass  # commits: what follows is a transaction of its own
    op.execute("ALTER TABLE images VALIDATE CONSTRAINT ck_images_content_type_accepted")


def downgrade() -> None:
    """Drop the column, and accept new images of the earlier types only: the catalog only.

    Images of the other types stay; that is why the check is not validated.
    """
    op.execute(f"ALTER TABLE images DROP COLUMN IF EXISTS metadata, {_accept(BEFORE)}")


def _accept(types: str) -> str:
    return (
        "DROP CONSTRAINT IF EXISTS ck_images_content_type_accepted, "
        "ADD CONSTRAINT ck_images_content_type_accepted "
        f"CHECK (content_type IN ({types})) NOT VALID"
    )
