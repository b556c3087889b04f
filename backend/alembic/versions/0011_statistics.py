"""Downloads of images by day.

Lock: SHARE ROW EXCLUSIVE on `images`, for milliseconds; the table is new.
"""

from alembic import op

revision = "0011"
down_revision = "0010"
compatible_from = "0009"


def upgrade() -> None:
    """Create the table."""
    op.execute(
        """
        CREATE TABLE image_statistics (
            image_id UUID NOT NULL,
            day DATE NOT NULL,
            downloads BIGINT NOT NULL,
            bytes BIGINT NOT NULL,
            CONSTRAINT pk_image_statistics PRIMARY KEY (image_id, day),
            CONSTRAINT fk_image_statistics_image_id
                FOREIGN KEY (image_id) REFERENCES images (id) ON DELETE CASCADE
        )
        """
    )


def downgrade() -> None:
    """Drop it, and what was counted."""
    op.execute("DROP TABLE image_statistics")
