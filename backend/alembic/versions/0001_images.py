"""The images, with the seven columns of the legacy schema.

Lock: none that anyone waits for; the table is new. A database with the legacy schema has it
already, and is stamped instead (see `app.database.migration`).
"""

from alembic import op

revision = "0001"
down_revision = None
compatible_from = "0001"

_TABLE = """
CREATE TABLE images (
    id UUID NOT NULL,
    filename VARCHAR(255) NOT NULL,
    storage_key VARCHAR(64) COLLATE "C" NOT NULL,
    content_type VARCHAR(32) NOT NULL,
    file_size BIGINT NOT NULL,
    upload_ip INET,
    created_at TIMESTAMP WITH TIME ZONE DEFAULT now() NOT NULL,
    CONSTRAINT pk_images PRIMARY KEY (id),
    CONSTRAINT ck_images_filename_not_empty CHECK (char_length(filename) > 0),
    CONSTRAINT ck_images_content_type_accepted
        CHECK (content_type IN ('image/jpeg', 'image/png')),
    CONSTRAINT ck_images_file_size_positive CHECK (file_size > 0),
    CONSTRAINT uq_images_storage_key UNIQUE (storage_key)
)
"""


def upgrade() -> None:
    """Create the table and the indexes of its queries."""
    op.execute(_TABLE)
    op.execute("CREATE INDEX ix_images_created_at_id ON images (created_at DESC, id DESC)")
    op.execute("CREATE INDEX ix_images_upload_ip_created_at ON images (upload_ip, created_at)")


def downgrade() -> None:
    """Refuse: this would lose every image."""
    raise NotImplementedError("nothing comes before the first revision")
