"""Statements on requests that may be repeated: claim, answer, release, forget (ADR 0065)."""

from collections.abc import Collection, Iterable
from datetime import timedelta
from typing import Any, Final
from uuid import UUID

from sqlalchemy import and_, bindparam, select, text

from app.database.engine import ReadSession, WriteSession
from app.domain.idempotency import KEPT, Claim, KeptAnswer, KeyedImage
from app.domain.image import Image
from app.models import IDEMPOTENCY_FILES, IDEMPOTENCY_KEYS, IMAGES
from app.statements.quota import LONGEST_HOLD

FORGOTTEN_AT_ONCE: Final = 1000
"""Most requests that one statement deletes, so that it locks none for long."""

# The row of a new request is as old as the statement.
_CLAIM: Final = text("""
    INSERT INTO idempotency_keys AS present (sender, key, claim, claimed_until)
    VALUES (:sender, :key, :id, now() + CAST(:lease AS interval))
    ON CONFLICT (sender, key) DO UPDATE
    SET claim = excluded.claim, claimed_until = excluded.claimed_until
    WHERE present.status IS NULL AND present.claimed_until <= now()
    RETURNING created_at <> now()
""")
_IS_KEY: Final = and_(
    IDEMPOTENCY_KEYS.c.sender == bindparam("sender"), IDEMPOTENCY_KEYS.c.key == bindparam("key")
)
_ANSWER: Final = select(*IDEMPOTENCY_KEYS.c["fingerprint", "status", "location", "answer"]).where(
    _IS_KEY, IDEMPOTENCY_KEYS.c.status.is_not(None)
)
_FILES: Final = (
    select(*IDEMPOTENCY_FILES.c["position", "fingerprint", "image_id"], *IMAGES.c[Image._fields])
    .join_from(IDEMPOTENCY_FILES, IMAGES, IMAGES.c.id == IDEMPOTENCY_FILES.c.image_id, isouter=True)
    .where(
        IDEMPOTENCY_FILES.c.sender == bindparam("sender"),
        IDEMPOTENCY_FILES.c.key == bindparam("key"),
    )
)
# In one order, so that no two transactions that lock claims wait for each other.
_HELD: Final = """
    SELECT held.sender, held.key, held.claim
    FROM idempotency_keys AS held
    JOIN unnest(CAST(:senders AS text[]), CAST(:keys AS text[]), CAST(:ids AS uuid[]))
        AS wanted(sender, key, claim) USING (sender, key, claim)
    ORDER BY held.sender, held.key FOR NO KEY UPDATE OF held
"""
# A process that freezes in the transaction keeps nobody from its requests for long.
_LOCK: Final = text(f"""
    SELECT locked.*, set_config('idle_in_transaction_session_timeout', :longest_hold, true)
    FROM ({_HELD}) AS locked
""")  # noqa: S608 - our own
_RENEW: Final = text(f"""
    WITH held AS ({_HELD})
    UPDATE idempotency_keys AS present SET claimed_until = now() + CAST(:lease AS interval)
    FROM held WHERE (present.sender, present.key) = (held.sender, held.key)
""")  # noqa: S608 - our own
_INSERT_FILES: Final = text("""
    INSERT INTO idempotency_files (sender, key, position, fingerprint, image_id)
    SELECT * FROM unnest(CAST(:senders AS text[]), CAST(:keys AS text[]),
        CAST(:positions AS integer[]), CAST(:fingerprints AS bytea[]), CAST(:image_ids AS uuid[]))
""")
_IS_CLAIM: Final = "sender = :sender AND key = :key AND claim = :id"
_KEEP: Final = text(f"""
    UPDATE idempotency_keys
    SET fingerprint = :fingerprint, status = :status, location = :location, answer = :body
    WHERE {_IS_CLAIM}
""")  # noqa: S608 - our own
_RELEASE: Final = text(f"UPDATE idempotency_keys SET claimed_until = now() WHERE {_IS_CLAIM}")  # noqa: S608 - our own
_DELETE: Final = text(f"DELETE FROM idempotency_keys WHERE {_IS_CLAIM}")  # noqa: S608 - our own
_FORGET: Final = text("""
    DELETE FROM idempotency_keys WHERE (sender, key) IN (
        SELECT sender, key FROM idempotency_keys
        WHERE created_at < now() - CAST(:kept AS interval) AND claimed_until <= now()
        ORDER BY created_at LIMIT :limit FOR UPDATE SKIP LOCKED)
    RETURNING 1
""")


async def insert_claim(session: WriteSession, claim: Claim, lease: timedelta) -> bool | None:
    """Claim a request whose lease has ended, or that is new; wait for who is storing a file of it.

    Returns:
        Whether somebody had claimed it before; None = it is answered, or under way.
    """
    parameters = {**claim._asdict(), "lease": lease}
    is_taken_over: bool | None = (await session.execute(_CLAIM, parameters)).scalar()
    return is_taken_over


async def find_answer(session: ReadSession | WriteSession, claim: Claim) -> KeptAnswer | None:
    """Read what a request was answered; None = it has not been yet."""
    row = (await session.execute(_ANSWER, _key_of(claim))).first()
    return KeptAnswer(*row) if row else None


async def find_keyed_images(
    session: ReadSession | WriteSession, claim: Claim
) -> dict[int, KeyedImage]:
    """Read what a request has stored, by the positions of its files."""
    rows = await session.execute(_FILES, _key_of(claim))
    return {
        position: KeyedImage(fingerprint, image_id, Image(*image) if image[0] else None)
        for position, fingerprint, image_id, *image in rows
    }


async def lock_claims(session: WriteSession, claims: Collection[Claim]) -> set[Claim]:
    """Return those that still hold; nobody takes them over until the transaction ends."""
    longest_hold = f"{LONGEST_HOLD.total_seconds():.3f}s"
    rows = await session.execute(_LOCK, {**_columns(claims), "longest_hold": longest_hold})
    return {Claim(*row[:3]) for row in rows}


async def renew_claims(session: WriteSession, claims: Collection[Claim], lease: timedelta) -> None:
    """Begin the leases of those that still hold anew."""
    await session.execute(_RENEW, {**_columns(claims), "lease": lease})


async def insert_keyed_images(
    session: WriteSession, files: Iterable[tuple[Claim, int, bytes, UUID]]
) -> None:
    """Record files that are stored: each by its claim, position, fingerprint and image."""
    claims, positions, fingerprints, image_ids = zip(*files, strict=True)
    parameters = {
        "senders": [claim.sender for claim in claims],
        "keys": [claim.key for claim in claims],
        "positions": positions,
        "fingerprints": fingerprints,
        "image_ids": image_ids,
    }
    await session.execute(_INSERT_FILES, parameters)


async def keep_answer(session: WriteSession, claim: Claim, answer: KeptAnswer) -> None:
    """Record the answer to a request, unless somebody else has claimed it."""
    await session.execute(_KEEP, {**claim._asdict(), **answer._asdict()})


async def release_claim(session: WriteSession, claim: Claim) -> None:
    """End the lease; what has been stored stays known."""
    await session.execute(_RELEASE, claim._asdict())


async def delete_claim(session: WriteSession, claim: Claim) -> None:
    """Forget a request that has stored nothing, and will not."""
    await session.execute(_DELETE, claim._asdict())


async def forget_requests(session: WriteSession) -> int:
    """Delete some requests that are older than `KEPT` and not under way; return how many."""
    parameters = {"kept": KEPT, "limit": FORGOTTEN_AT_ONCE}
    return len((await session.execute(_FORGET, parameters)).all())


def _key_of(claim: Claim) -> dict[str, Any]:
    return {"sender": claim.sender, "key": claim.key}


def _columns(claims: Collection[Claim]) -> dict[str, Any]:
    senders, keys, ids = zip(*claims, strict=True)
    return {"senders": senders, "keys": keys, "ids": ids}
