"""${message}.

Lock: which one each statement takes, and why it is short on a million rows.
"""

from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
compatible_from = "the earliest revision whose code works with this schema"


def upgrade() -> None:
    """What the new code needs; the code of before must still work with it."""


def downgrade() -> None:
    """The way back."""
