"""Runs uploads, deletes and sharings in processes that kill themselves just before a chosen effect.

A process of its own, led by lines of JSON on standard input (`Orders`) and answering with lines on
standard output: each effect when it is about to happen, and `end`. Each order is carried out by a
fork of this process, which has loaded everything but opened nothing, so that one takes no longer
than the work itself.
"""

import asyncio
import json
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypedDict
from uuid import UUID

from sqlalchemy import event

from app.cache.redis import RedisCache
from app.database.engine import Database
from app.domain.image import Image
from app.domain.limits import UploadLimits
from app.services.sharing import ByteSharing
from app.services.staging import IncomingFile
from app.services.use_cases import Services
from app.storage.local import process, sharing
from app.storage.local.backend import LocalStorage
from app.storage.local.blocks import BLOCK
from testkit import watched_writer
from testkit.effects import Effects, say
from testkit.forms import split, stream
from testkit.uploads import files, upload_batch_once, upload_once

LIMITS = UploadLimits(max_upload_bytes=100 * BLOCK, batch_max_files=9, uploads_per_hour_per_ip=0)
ACKNOWLEDGE = "acknowledge"
"""The last effect: the caller gets its answer, which follows on the line."""
VERB = re.compile("SELECT|INSERT|UPDATE|DELETE")
PIECE = 50_000
"""Bytes that arrive at once; not a divisor of anything."""


class Orders(TypedDict):
    """What to do, where, and before which effect to die (1 is the first)."""

    action: str
    url: str
    root: str
    kill_before: int
    files: list[str]
    image_ids: list[str]
    redis_url: str
    """Of the cache; empty = none."""


def main() -> None:
    for line in sys.stdin:
        orders: Orders = json.loads(line)
        child = os.fork()
        if not child:
            asyncio.run(carry_out(orders))
            die()
        _, status = os.waitpid(child, 0)
        say(f"end {os.waitstatus_to_exitcode(status)}")


async def carry_out(orders: Orders) -> None:
    root = Path(orders["root"])
    paths = [Path(name) for name in orders["files"]]
    incoming = [IncomingFile(path.name, stream(split(path.read_bytes(), PIECE))) for path in paths]
    database = Database(orders["url"])
    storage = LocalStorage(root)
    cache = RedisCache(orders["redis_url"], 300) if orders["redis_url"] else None
    services = Services(database, storage, LIMITS, cache=cache)
    await services.readiness.prepare_storage()
    if running := storage._writer._process:
        await running.end()  # another takes its place, which is watched
    count = root.with_name("effects")
    count.unlink(missing_ok=True)
    vars(process)["PROGRAM"] = watched_writer.__file__
    os.environ["WATCHED"] = json.dumps([str(root), orders["kill_before"], str(count)])
    effects = Effects(root, orders["kill_before"], count)
    effects.watch_files()
    watch(database, effects)
    watch_exchange(effects)
    if cache:
        watch_cache(cache, effects)

    answer: list[str] = []
    match orders["action"]:
        case "upload":
            answer.append(str((await services.uploads.upload(incoming[0], None)).id))
        case "batch":
            results = await services.uploads.upload_batch(files(*incoming), None)
            answer += [str(result.id) for result in results if isinstance(result, Image)]
        case "keyed upload":
            answer.append(str((await upload_once(services, incoming[0])).id))
        case "keyed batch":
            results = await upload_batch_once(services, *incoming)
            answer += [str(result.id) for result in results if isinstance(result, Image)]
        case "make private":
            image_id = UUID(orders["image_ids"][0])
            await services.visibility.change(image_id, is_public=False)
        case "delete":
            await services.deletion.delete_batch([UUID(one) for one in orders["image_ids"]])
        case "share":
            await ByteSharing(database, storage).share(UUID(orders["image_ids"][0]))
    effects.announce(ACKNOWLEDGE)
    say(" ".join(["acknowledged", *answer]))


def watch(database: Database, effects: Effects) -> None:
    """Announce each statement and each commit."""

    def execute(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        verb = VERB.search(statement)
        assert verb
        effects.announce(verb[0])

    engine = database._engine.sync_engine
    event.listen(engine, "before_cursor_execute", execute)
    event.listen(engine, "commit", lambda _connection: effects.announce("COMMIT"))


def watch_exchange(effects: Effects) -> None:
    """Announce each exchange of names, which Python's audit does not see."""
    exchange = sharing.exchange

    def announced(name: str, other: str) -> None:
        effects.announce("exchange names")
        exchange(name, other)

    vars(sharing)["exchange"] = announced


def watch_cache(cache: RedisCache, effects: Effects) -> None:
    """Announce each invalidation."""
    invalidate = cache.invalidate

    async def announced(keys: Sequence[str], seconds: int) -> None:
        effects.announce("invalidate")
        await invalidate(keys, seconds)

    vars(cache)["invalidate"] = announced


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    main()
