"""What Alembic runs for each of its commands, over the connection of `app.database.migration`."""

from collections.abc import Collection, Mapping

from alembic import context
from alembic.migration import MigrationContext, MigrationInfo
from sqlalchemy import text

from app.models import Base

_FIRST_WITH_INSTALLATION = "0003"
_SET_COMPATIBLE_FROM = text(
    "INSERT INTO installation (compatible_from) VALUES (:revision) "
    "ON CONFLICT (only_row) DO UPDATE SET compatible_from = excluded.compatible_from"
)


def write_compatible_from(
    ctx: MigrationContext,
    step: MigrationInfo,  # noqa: ARG001 - all four are passed by name
    heads: Collection[str],
    run_args: Mapping[str, object],  # noqa: ARG001 - the same
) -> None:
    """Write which code works with a revision, in the transaction that writes the revision (ADR 28).

    Earlier revisions have no table for it.
    """
    for revision in heads:
        if revision >= _FIRST_WITH_INSTALLATION:
            compatible_from = context.script.get_revision(revision).module.compatible_from
            ctx.execute(_SET_COMPATIBLE_FROM.bindparams(revision=compatible_from))


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Base.metadata,
    # The queue's tables have no models.
    include_name=lambda name, kind, _: kind != "table" or name in Base.metadata.tables,
    transaction_per_migration=True,
    on_version_apply=write_compatible_from,
)
with context.begin_transaction():
    context.run_migrations()
