"""A worker in a process of its own, for tests that kill or stop it.

A job's subject says what it does, before its colon: `note` takes a moment; `kill` ends the process;
`gate` waits until the row of its process in `gates` is there. What was done is in the tables below,
by a statement after the deed.
"""

import asyncio
import logging
import os
import signal
import sys
from datetime import timedelta
from typing import Final

from sqlalchemy import text

from app.database.engine import Database
from app.queue import upkeep
from app.queue.task import Task
from app.queue.worker import QueueWorker
from app.statements import attempts

TABLES: Final = (
    "CREATE TABLE begun (subject text, pid integer)",
    "CREATE TABLE done (subject text, pid integer)",
    "CREATE TABLE given_up (subject text, reason text)",
    "CREATE TABLE gates (pid integer)",
)
STALE: Final = timedelta(seconds=4)
BEAT_SECONDS: Final = 0.3
"""Shorter than in the service, to save time."""


async def main(url: str) -> None:
    database = Database(url)

    async def note(statement: str, **values: object) -> None:
        async with database.write() as session:
            await session.execute(text(statement), values)

    async def gate_is_open() -> bool:
        async with database.read() as session:
            query = text("SELECT EXISTS (SELECT FROM gates WHERE pid = :pid)")
            return (await session.execute(query, {"pid": os.getpid()})).scalar_one() is True

    async def run(subject: str) -> None:
        await note("INSERT INTO begun VALUES (:subject, :pid)", subject=subject, pid=os.getpid())
        match subject.partition(":")[0]:
            case "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            case "gate":
                while not await gate_is_open():  # noqa: ASYNC110 - another process opens it
                    await asyncio.sleep(0.05)
            case _:
                await asyncio.sleep(0.02)
        await note("INSERT INTO done VALUES (:subject, :pid)", subject=subject, pid=os.getpid())

    async def set_aside(subject: str, why: str) -> None:
        await note("INSERT INTO given_up VALUES (:subject, :why)", subject=subject, why=why)

    worker = QueueWorker(database, [Task("test", run, set_aside, 60)], concurrency=2)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, worker.stop)
    await worker.run()
    await database.close()


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING)
    vars(upkeep).update(STALE=STALE, BEAT_SECONDS=BEAT_SECONDS)
    vars(attempts)["STALE"] = STALE
    asyncio.run(main(sys.argv[1]))
