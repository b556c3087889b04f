"""Detects the legacy schema: tables that the service made before the schema had revisions."""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

_COLUMNS: Final = [
    "id uuid NOT NULL",
    "filename character varying(255) NOT NULL",
    'storage_key character varying(64) COLLATE "C" NOT NULL',
    "content_type character varying(32) NOT NULL",
    "file_size bigint NOT NULL",
    "upload_ip inet",
    "created_at timestamp with time zone NOT NULL DEFAULT now()",
]
_NEEDED: Final = {
    "pk_images",
    "uq_images_storage_key",
    "ck_images_filename_not_empty",
    "ck_images_content_type_accepted",
    "ck_images_file_size_positive",
    "CREATE UNIQUE INDEX pk_images ON images USING btree (id)",
    "CREATE UNIQUE INDEX uq_images_storage_key ON images USING btree (storage_key)",
    "CREATE INDEX ix_images_created_at_id ON images USING btree (created_at DESC, id DESC)",
    "CREATE INDEX ix_images_upload_ip_created_at ON images USING btree (upload_ip, created_at)",
}
"""Constraints by name, indexes in full. A restore may change the wording of a check."""

_COLUMNS_QUERY: Final = """
    SELECT concat(
        quote_ident(attname), ' ', format_type(atttypid, atttypmod),
        CASE WHEN attcollation <> typcollation THEN ' COLLATE ' || quote_ident(collname) END,
        CASE WHEN attnotnull THEN ' NOT NULL' END,
        ' DEFAULT ' || pg_get_expr(adbin, adrelid)
    )
    FROM pg_attribute
    JOIN pg_type ON pg_type.oid = atttypid
    LEFT JOIN pg_collation ON pg_collation.oid = attcollation
    LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
    WHERE attrelid = to_regclass('images') AND attnum > 0 AND NOT attisdropped
    ORDER BY attnum
"""
_FOUND_QUERY: Final = """
    SELECT conname::text FROM pg_constraint WHERE conrelid = to_regclass('images')
    UNION
    SELECT pg_get_indexdef(indexrelid, 0, true) FROM pg_index
    WHERE indrelid = to_regclass('images') AND indisvalid
"""


async def has_images(connection: AsyncConnection) -> bool:
    """Return whether there is a table `images`, whoever made it."""
    return bool(await connection.scalar(text("SELECT to_regclass('images') IS NOT NULL")))


async def is_legacy(connection: AsyncConnection) -> bool:
    """Return whether the table is the legacy one: the same columns, constraints and indexes.

    An index that an operator added does not matter.
    """
    columns = list(await connection.scalars(text(_COLUMNS_QUERY)))
    found = set(await connection.scalars(text(_FOUND_QUERY)))
    return columns == _COLUMNS and found >= _NEEDED
