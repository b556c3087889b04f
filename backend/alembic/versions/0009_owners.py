"""Users, their keys, owners and visibility of images, and the secret of the installation.

Lock, first step: ACCESS EXCLUSIVE on `images`, for milliseconds whatever the number of rows: a
column with a constant default changes the catalog only, and a foreign key that is NOT VALID reads
no row. The tables are new, and `installation` has one row.

Lock, second step: SHARE UPDATE EXCLUSIVE and ROW SHARE, while all rows are read once; reads and
writes go on beside it. Lock, of each index: SHARE UPDATE EXCLUSIVE, beside which they go on too; it
waits for transactions that began before it.

Earlier versions do not know private images, and would show them to anybody: they refuse this
schema.

The steps are transactions of their own, and each can be repeated: an index that a broken attempt
has left unfinished is dropped first.
"""

from alembic import op

revision = "0009"
down_revision = "0008"
compatible_from = "0009"

_INDEXES = {
    "ix_images_owner_id_created_at_id": (
        "(owner_id, created_at DESC, id DESC) WHERE owner_id IS NOT NULL"
    ),
    "ix_images_checksum_created_at_id": "(checksum, created_at DESC, id DESC)",
}
_RANDOM = "decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex')"
_TABLES = (
    """
    CREATE TABLE IF NOT EXISTS users (
        id UUID NOT NULL,
        email VARCHAR(254) NOT NULL,
        role VARCHAR(8) DEFAULT 'user' NOT NULL,
        quota_bytes BIGINT,
        quota_images INTEGER,
        used_bytes BIGINT DEFAULT 0 NOT NULL,
        used_images INTEGER DEFAULT 0 NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        disabled_at TIMESTAMPTZ,
        deletion VARCHAR(8),
        CONSTRAINT pk_users PRIMARY KEY (id),
        CONSTRAINT ck_users_role_known CHECK (role IN ('user', 'admin')),
        CONSTRAINT ck_users_quota_bytes_not_negative CHECK (quota_bytes >= 0),
        CONSTRAINT ck_users_quota_images_not_negative CHECK (quota_images >= 0),
        CONSTRAINT ck_users_deletion_known CHECK (deletion IN ('delete', 'keep'))
    )
    """,
    "CREATE UNIQUE INDEX IF NOT EXISTS uq_users_email ON users (lower(email))",
    """
    CREATE TABLE IF NOT EXISTS api_keys (
        id UUID NOT NULL,
        user_id UUID NOT NULL,
        prefix VARCHAR(16) NOT NULL,
        digest BYTEA NOT NULL,
        scopes VARCHAR(8)[] NOT NULL,
        created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
        expires_at TIMESTAMPTZ,
        last_used_at TIMESTAMPTZ,
        revoked_at TIMESTAMPTZ,
        CONSTRAINT pk_api_keys PRIMARY KEY (id),
        CONSTRAINT uq_api_keys_prefix UNIQUE (prefix),
        CONSTRAINT ck_api_keys_digest_length CHECK (octet_length(digest) = 32),
        CONSTRAINT fk_api_keys_user_id FOREIGN KEY (user_id) REFERENCES users (id) ON DELETE CASCADE
    )
    """,
    "CREATE INDEX IF NOT EXISTS ix_api_keys_user_id ON api_keys (user_id)",
)


def upgrade() -> None:
    """Add the tables and the columns; then validate the foreign key, and build the indexes."""
    for statement in _TABLES:
        op.execute(statement)
    op.execute(
        f"ALTER TABLE installation ADD COLUMN IF NOT EXISTS secret BYTEA DEFAULT {_RANDOM} NOT NULL"
    )
    op.execute(
        """
        ALTER TABLE images
            ADD COLUMN IF NOT EXISTS owner_id UUID,
            ADD COLUMN IF NOT EXISTS is_public BOOLEAN DEFAULT true NOT NULL,
            DROP CONSTRAINT IF EXISTS fk_images_owner_id,
            ADD CONSTRAINT fk_images_owner_id
                FOREIGN KEY (owner_id) REFERENCES users (id) NOT VALID
        """
    )
    with op.get_context().autocommit_block():
        for name, definition in _INDEXES.items():
            op.execute(f"DROP INDEX CONCURRENTLY IF EXISTS {name}")
            op.execute(f"CREATE INDEX CONCURRENTLY {name} ON images {definition}")
    op.execute("ALTER TABLE images VALIDATE CONSTRAINT fk_images_owner_id")


def downgrade() -> None:
    """Drop them: ACCESS EXCLUSIVE, and the catalog only. Every image is public then."""
    for name in _INDEXES:
        op.execute(f"DROP INDEX IF EXISTS {name}")
    op.execute("ALTER TABLE images DROP COLUMN IF EXISTS owner_id, DROP COLUMN IF EXISTS is_public")
    op.execute("DROP TABLE IF EXISTS api_keys")
    op.execute("DROP TABLE IF EXISTS users")
    op.execute("ALTER TABLE installation DROP COLUMN IF EXISTS secret")
