"""The command that shows the queue: `python -m app jobs`."""

import argparse
import sys
from collections.abc import Sequence
from datetime import timedelta
from functools import partial
from typing import Final

from app.commands import runner
from app.composition.resources import Resources
from app.config.settings import Settings
from app.database.revisions import require_head
from app.services.jobs import Jobs

EXIT_DONE: Final = 0
EXIT_NOT_DONE: Final = 1

_UNITS: Final = (("d", 86400), ("h", 3600), ("min", 60), ("s", 1))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's options."""
    actions = parser.add_subparsers(dest="action", metavar="failed|retry|discard")
    actions.add_parser("failed", help="list the jobs that were set aside, with their reasons")
    for action, does in (("retry", "queue jobs again"), ("discard", "delete jobs")):
        chosen = actions.add_parser(action, help=f"{does} that were set aside")
        which = chosen.add_mutually_exclusive_group(required=True)
        which.add_argument("ids", nargs="*", type=int, default=[], metavar="ID")
        which.add_argument("--all", action="store_true", help="all that were set aside")


def run(settings: Settings, options: argparse.Namespace) -> int:
    """Print how many jobs there are, or list, re-queue or discard those that were set aside.

    Returns:
        0 = done, 1 = not, or not with all the jobs that were named.
    """
    return runner.run(settings, partial(_act, options), "Not done", EXIT_NOT_DONE)


async def _act(options: argparse.Namespace, resources: Resources) -> int:
    await require_head(resources.database)
    jobs = Jobs(resources.database)
    match options.action:
        case "failed":
            await _list_failed(jobs)
        case "retry":
            count = await jobs.requeue(None if options.all else options.ids)
            return _report(count, options.ids, "queued again")
        case "discard":
            count = await jobs.discard(None if options.all else options.ids)
            return _report(count, options.ids, "discarded")
        case _:
            await _show_counts(jobs)
    return EXIT_DONE


async def _show_counts(jobs: Jobs) -> None:
    counts = await jobs.counts()
    for task, state, number, oldest in counts:
        print(f"{task} {state}: {number}, the oldest for {_rounded(oldest)}")
    if not counts:
        print("There are no jobs")
    elif not await jobs.have_workers():
        print("No worker is running: `make worker` starts one", file=sys.stderr)


async def _list_failed(jobs: Jobs) -> None:
    async for job in jobs.failed():
        lost = f", {job.lost} of which ended their worker" if job.lost else ""
        print(
            f"{job.id} {job.task} {job.subject}: {job.attempts} attempts{lost}, "
            f"for {_rounded(job.age)}: {job.reason}"
        )


def _report(count: int, ids: Sequence[int], what: str) -> int:
    print(f"{count} {'job' if count == 1 else 'jobs'} {what}")
    if missing := len(set(ids)) - count if ids else 0:
        print(f"{missing} of the ids named no job that was set aside", file=sys.stderr)
        return EXIT_NOT_DONE
    return EXIT_DONE


def _rounded(age: timedelta) -> str:
    """Return an age in its largest unit."""
    seconds = int(age.total_seconds())
    unit, size = next((unit for unit in _UNITS if seconds >= unit[1]), _UNITS[-1])
    return f"{seconds // size} {unit}"
