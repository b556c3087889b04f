"""${message}.

Lock: which one each statement takes, and why it is short on a million rows.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
compatible_from = "the earliest revision whose code works with this schema"


def upgrade() -> None:
    """Add what the new code needs; earlier code, from `compatible_from` on, must work with it."""


def downgrade() -> None:
    """Undo it."""
