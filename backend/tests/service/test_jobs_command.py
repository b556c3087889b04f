"""`python -m app jobs`: the queue as an operator sees it."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from testkit.databases import execute
from testkit.live import TIMEOUT
from testkit.service import ROOT

INSERT = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, queueing_lock, args, created_at) "
    "SELECT 'render', 'render', n, jsonb_build_object('subject', n::text), "
    "now() - n * interval '1 hour' FROM generate_series(1, 3) AS n"
)
FAIL = (
    "UPDATE procrastinate_jobs SET status = 'failed', attempts = 6, lost = 1, "
    "reason = 'ValueError: broken' WHERE args->>'subject' <> '3'"
)


@pytest.fixture
def queue(database_url: URL, tmp_path: Path) -> URL:
    asyncio.run(execute(database_url, INSERT, FAIL))
    return database_url


def jobs(url: URL, *arguments: str) -> tuple[int, list[str]]:
    """Run the command; return its status and the lines that it prints."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    run = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-m", "app", "jobs", *arguments],
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT / "backend"),
            "DATABASE_URL": address,
        },
        cwd="/",
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        check=False,
    )
    return run.returncode, (run.stdout + run.stderr).splitlines()


def ids(url: URL) -> list[str]:
    rows = asyncio.run(execute(url, "SELECT id FROM procrastinate_jobs ORDER BY id"))
    return [str(row[0]) for row in rows]


def test_jobs_are_counted_by_state_and_age(queue: URL) -> None:
    assert jobs(queue) == (
        0,
        [
            "render failed: 2, the oldest for 2 h",
            "render queued: 1, the oldest for 3 h",
            "No worker is running: `make worker` starts one",
        ],
    )


def test_an_empty_queue_is_said_to_be_so(database_url: URL) -> None:
    assert jobs(database_url) == (0, ["There are no jobs"])


def test_failed_jobs_are_listed_with_their_reasons(queue: URL) -> None:
    first, second, _ = ids(queue)
    rest = "6 attempts, 1 of which ended their worker"
    assert jobs(queue, "failed") == (
        0,
        [
            f"{first} render 1: {rest}, for 1 h: ValueError: broken",
            f"{second} render 2: {rest}, for 2 h: ValueError: broken",
        ],
    )


@pytest.mark.parametrize(("action", "what"), [("retry", "queued again"), ("discard", "discarded")])
def test_failed_jobs_are_requeued_or_discarded_by_id_or_all(
    queue: URL, action: str, what: str
) -> None:
    first, _, queued = ids(queue)
    named = jobs(queue, action, first, queued)
    assert named == (1, [f"1 job {what}", "1 of the ids named no job that was set aside"])
    assert jobs(queue, action, "--all") == (0, [f"1 job {what}"])
    assert jobs(queue, "failed") == (0, [])
    assert len(ids(queue)) == (3 if action == "retry" else 1)


@pytest.mark.parametrize("arguments", [["retry"], ["discard", "1", "--all"], ["retry", "x"]])
def test_which_jobs_must_be_said(queue: URL, arguments: list[str]) -> None:
    status, lines = jobs(queue, *arguments)
    assert status == 2
    assert lines[-1].startswith("python -m app jobs ")
