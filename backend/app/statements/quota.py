"""Statements of the upload quota."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final, NamedTuple
from uuid import UUID

from sqlalchemy import Integer, bindparam, column, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY

from app.database.engine import ReadSession, WriteSession
from app.domain.image import Image, NewImage
from app.domain.ip_address import IpAddress
from app.domain.limits import QUOTA_PERIOD, last_address_of, subscriber_of
from app.statements.images import (
    INCOMING,
    INSERTED,
    NO_TASKS,
    columns_of,
    images_by_id,
    insertions,
    traces_of,
)

LONGEST_HOLD: Final = timedelta(seconds=5)
"""After which the database ends an idle transaction that locks quotas or claims."""

_LOCK: Final = text("""
    SELECT pg_advisory_xact_lock(key),
           set_config('idle_in_transaction_session_timeout', :longest_hold, true)
    FROM (SELECT hashtextextended(name, 0) AS key
          FROM unnest(CAST(:names AS text[])) AS name
          ORDER BY key) AS keys
""")

# statement_timestamp() and not now(): a transaction that waited for a lock would miss the rows that
# others added since it began. Rows compared and not their times in WHERE: otherwise the planner
# may take the index on created_at, and read what everybody added in the period.
_USAGE: Final = (
    text("""
    SELECT number, images,
           CAST(ceil(extract(epoch FROM coalesce(oldest, latest) - earliest)) AS integer) AS seconds
    FROM (SELECT statement_timestamp() - CAST(:period AS interval), statement_timestamp())
             AS period(earliest, latest),
         unnest(CAST(:first AS inet[]), CAST(:last AS inet[]))
             WITH ORDINALITY AS subscribers(first, last, number),
         LATERAL (
             SELECT count(*) FILTER (WHERE created_at > earliest AND created_at <= latest),
                    min(created_at) FILTER (WHERE created_at > earliest AND created_at <= latest)
             FROM images
             WHERE (upload_ip, created_at) > (first, earliest)
               AND (upload_ip, created_at) <= (last, latest)
         ) AS usage(images, oldest)
    """)
    .columns(column("number", Integer), column("images", Integer), column("seconds", Integer))
    .subquery("usage")
)
_SELECT_USAGE: Final = select(_USAGE.c.images, _USAGE.c.seconds).order_by(_USAGE.c.number)

_COUNTED: Final = ("subscriber", "place")
_INCOMING: Final = (
    func.unnest(*INCOMING, *(bindparam(name, type_=ARRAY(Integer)) for name in _COUNTED))
    .table_valued(*INSERTED, *(column(name, Integer) for name in _COUNTED))
    .render_derived()
)
_WITHIN_QUOTA: Final = (
    select(*_INCOMING.c[INSERTED])
    .join_from(_INCOMING, _USAGE, _USAGE.c.number == _INCOMING.c.subscriber, isouter=True)
    .where(
        func.coalesce(_USAGE.c.images + _INCOMING.c.place, 0) <= bindparam("quota", type_=Integer)
    )
)
_INSERT: Final = insertions(_WITHIN_QUOTA)


class Usage(NamedTuple):
    """What a subscriber added within the last `QUOTA_PERIOD`."""

    images: int
    seconds: int
    """Until the oldest of them is out of the period; the whole period if there are none."""


async def lock_quotas(session: WriteSession, subscribers: Iterable[IpAddress]) -> None:
    """Make other transactions that lock one of the same quotas wait until this one ends.

    All lock in one order, so no two wait for each other.
    """
    names = [f"upload_ip {subscriber}" for subscriber in set(subscribers)]
    longest_hold = f"{LONGEST_HOLD.total_seconds():.3f}s"
    await session.execute(_LOCK, {"names": names, "longest_hold": longest_hold})


async def insert_within_quota(
    session: WriteSession,
    images: Sequence[NewImage],
    quota: int,
    tasks: frozenset[str] = NO_TASKS,
    traces: Mapping[UUID, str] = {},
) -> dict[UUID, Image]:
    """Insert the rows for which a quota, which must be locked, has a place, in their order.

    With jobs of some tasks, as `insert_images`.

    Returns:
        The rows that were inserted, as they are stored.
    """
    subscribers = [row.upload_ip and subscriber_of(row.upload_ip) for row in images]
    counted = list({subscriber for subscriber in subscribers if subscriber})
    numbers = {subscriber: number for number, subscriber in enumerate(counted, start=1)}
    places = Counter[IpAddress]()
    columns = columns_of(images) | {name: [] for name in _COUNTED}
    for subscriber in subscribers:
        if subscriber:
            places[subscriber] += 1
        columns["subscriber"].append(subscriber and numbers[subscriber])
        columns["place"].append(subscriber and places[subscriber])
    parameters = columns | _bounds(counted) | {"quota": quota} | traces_of(tasks, traces)
    return images_by_id(await session.execute(_INSERT[tasks], parameters))


async def count_usage(
    session: ReadSession | WriteSession, subscribers: Iterable[IpAddress]
) -> dict[IpAddress, Usage]:
    """Count what each subscriber added within the last `QUOTA_PERIOD`.

    Rows dated ahead, by a clock that was wrong, do not count.
    """
    counted = list(set(subscribers))
    rows = await session.execute(_SELECT_USAGE, _bounds(counted))
    return {subscriber: Usage(*row) for subscriber, row in zip(counted, rows, strict=True)}


def _bounds(subscribers: list[IpAddress]) -> dict[str, Any]:
    """Return the parameters of `_USAGE`."""
    last = list(map(last_address_of, subscribers))
    return {"first": subscribers, "last": last, "period": QUOTA_PERIOD}
