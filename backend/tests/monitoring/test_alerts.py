"""Alerts that are caused: of a real service, by our rules, until Alertmanager has them.

Each duration in the rules is divided by 60 (`testkit.prometheus`); nothing else is changed.
"""

import asyncio
from contextlib import suppress
from pathlib import Path
from signal import SIGTERM

import psutil
from sqlalchemy.engine import URL

from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute
from testkit.live import wait_until
from testkit.processes import postmaster
from testkit.programs import needs_alertmanager, needs_prometheus
from testkit.samples import jpeg
from testkit.service import fsck, published_files, upload
from testkit.valkey import cache_server
from testkit.watched import WAIT_SECONDS, Watched, address, crowd, held_up, watched_service

pytestmark = [needs_prometheus, needs_alertmanager]


def burning(watched: Watched) -> set[tuple[str, str]]:
    """Return the objective and the severity of each BudgetBurning that Alertmanager has."""
    labels = [alert["labels"] for alert in watched.alertmanager.alerts()]
    return {
        (one["objective"], one["severity"]) for one in labels if one["alertname"] == "BudgetBurning"
    }


def lagging(watched: Watched) -> set[str]:
    """Return the kinds of the processes of which EventLoopLagging fires."""
    return {labels["process"] for labels in watched.labels("EventLoopLagging")}


def test_a_stopped_database_is_told_and_the_errors_that_follow_are_kept_back(
    tmp_path: Path,
) -> None:
    with watched_service(tmp_path) as watched:
        folder = watched.service.data_dir / "postgres"
        (folder / "postgresql.conf").write_text("shared_buffers = nonsense\n")  # else it is back
        postmaster(folder).kill()
        watched.wait_for("DatabaseDown")
        with crowd(watched.service, 8):
            watched.wait_for("BudgetBurning")
            # On a busy machine that of speed may fire as well.
            wait_until(lambda: ("requests", "critical") in burning(watched))
            wait_until(lambda: "BudgetBurning" in watched.alertmanager.suppressed())
        assert "DatabaseDown" not in watched.alertmanager.suppressed()


def test_a_database_that_answers_slowly_is_told_by_the_objective_of_speed(
    tmp_path: Path, proxy: DatabaseProxy
) -> None:
    with watched_service(tmp_path, database=proxy.url) as watched:
        proxy.delay = 0.1
        with crowd(watched.service, 8):
            wait_until(lambda: ("speed", "warning") in burning(watched), WAIT_SECONDS)


def test_more_than_a_service_is_set_up_for_is_told(tmp_path: Path, proxy: DatabaseProxy) -> None:
    """Jobs whose originals are lost, and then more clients than connections and processors."""
    with watched_service(
        tmp_path,
        "DATABASE_CONNECTIONS=2",
        "MAX_CONNECTIONS=12",
        "WORKER_PROCESSES=1",
        database=proxy.url,
    ) as watched:
        watched.service.wait_for_workers(1)
        (worker,) = watched.service.workers()
        worker.suspend()
        for width in range(100, 108):
            upload(watched.service, jpeg(width, 100))
        for file in published_files(watched.service):
            file.unlink()
        worker.resume()
        watched.wait_for("JobsFailing")
        (failing,) = watched.labels("JobsFailing")
        assert failing["task"] == "render"
        proxy.delay = 0.1
        with crowd(watched.service, 20), held_up(watched.service.workers()[0]):
            watched.wait_for("PoolExhausted", "ConnectionsRefused", "EventLoopLagging")
            # On a busy machine those that serve may lag as well, and their alert fires earlier.
            wait_until(lambda: "worker" in lagging(watched), WAIT_SECONDS)


def test_what_nobody_looked_after_is_told(tmp_path: Path, database_url: URL) -> None:
    """Jobs without a worker, one given up, a lost file, an old fsck and backup, no cache."""
    with (
        cache_server(tmp_path) as cache,
        watched_service(tmp_path, f"REDIS_URL={cache.url}", database=database_url) as watched,
    ):
        upload(watched.service)
        upload(watched.service)
        published_files(watched.service)[0].unlink()
        checked = fsck(
            tmp_path / "checkout",
            "--checksums",
            DATABASE_URL=address(database_url),
            DATA_DIR=str(watched.service.data_dir),
        )
        assert checked.returncode == 1, checked.stderr
        asyncio.run(
            execute(
                database_url,
                """UPDATE procrastinate_jobs SET created_at = now()
                   - CASE task_name WHEN 'share' THEN interval '61 minutes'
                     ELSE interval '11 minutes' END""",
                """UPDATE procrastinate_jobs SET status = 'failed'
                   WHERE id = (SELECT min(id) FROM procrastinate_jobs)""",
                """UPDATE installation SET backup_at = now() - interval '49 hours',
                   fsck_at = fsck_at - interval '36 days'""",
            )
        )
        cache.kill()
        watched.wait_for("QueueStuck", "QueueBehind", "JobsSetAside", "CacheDown")
        watched.wait_for("FsckFoundDamage", "FsckOverdue", "BackupTooOld")
        (behind,) = watched.labels("QueueBehind")
        assert behind["task"] == "share"
        summaries = [alert["annotations"]["summary"] for alert in watched.alertmanager.alerts()]
        assert "Jobs (render) wait, and none is done" in summaries
        assert not any("error" in summary for summary in summaries)


def test_workers_that_end_again_and_again_are_told_and_then_a_service_that_is_down(
    tmp_path: Path, database_url: URL
) -> None:
    with watched_service(tmp_path, "WORKER_PROCESSES=2", database=database_url) as watched:

        def is_told() -> bool:
            for worker in watched.service.workers():
                with suppress(psutil.NoSuchProcess):
                    worker.kill()
            return watched.fires("ProcessesRestarting")

        wait_until(is_told, WAIT_SECONDS)
        (restarting,) = watched.labels("ProcessesRestarting")
        assert restarting["kind"] == "worker"
        watched.service.stop(SIGTERM)
        watched.wait_for("ServiceDown")
