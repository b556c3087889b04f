"""Uploads that may be repeated: requests with an Idempotency-Key, and the files they stored.

Lock: none that anybody waits for; the tables are new.
"""

from alembic import op

revision = "0010"
down_revision = "0009"
compatible_from = "0009"


def upgrade() -> None:
    """Create the tables."""
    op.execute(
        """
        CREATE TABLE idempotency_keys (
            sender VARCHAR(64) NOT NULL,
            key VARCHAR(255) NOT NULL,
            claim UUID NOT NULL,
            claimed_until TIMESTAMPTZ NOT NULL,
            fingerprint BYTEA,
            status INTEGER,
            location TEXT,
            answer BYTEA,
            created_at TIMESTAMPTZ DEFAULT now() NOT NULL,
            CONSTRAINT pk_idempotency_keys PRIMARY KEY (sender, key),
            CONSTRAINT ck_idempotency_keys_fingerprint_length
                CHECK (octet_length(fingerprint) = 32)
        )
        """
    )
    op.execute("CREATE INDEX ix_idempotency_keys_created_at ON idempotency_keys (created_at)")
    op.execute(
        """
        CREATE TABLE idempotency_files (
            sender VARCHAR(64) NOT NULL,
            key VARCHAR(255) NOT NULL,
            position INTEGER NOT NULL,
            fingerprint BYTEA NOT NULL,
            image_id UUID NOT NULL,
            CONSTRAINT pk_idempotency_files PRIMARY KEY (sender, key, position),
            CONSTRAINT ck_idempotency_files_fingerprint_length
                CHECK (octet_length(fingerprint) = 32),
            CONSTRAINT fk_idempotency_files_sender_key FOREIGN KEY (sender, key)
                REFERENCES idempotency_keys (sender, key) ON DELETE CASCADE
        )
        """
    )


def downgrade() -> None:
    """Drop them; a request that is repeated then stores its files again."""
    op.execute("DROP TABLE idempotency_files")
    op.execute("DROP TABLE idempotency_keys")
