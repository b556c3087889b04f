"""Alerts that are caused: of a real service, by our rules, until Alertmanager has them.

Each duration in the rules is divided by 60 (`testkit.prometheus`); nothing else is changed.
"""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from signal import SIGTERM

import httpx
import psutil
import pytest
from sqlalchemy.engine import URL

from testkit.database_proxy import DatabaseProxy
from testkit.databases import execute
from testkit.disks import CannotMount, mounted_disk
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_alertmanager, needs_prometheus
from testkit.service import IMAGES, fsck, stored_files, upload
from testkit.valkey import cache_server
from testkit.watched import WAIT_SECONDS, Watched, watched_service

pytestmark = [needs_prometheus, needs_alertmanager]

DISK_BYTES = 32 * 1024 * 1024


def address(url: URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def ask_until_it_fires(watched: Watched, alert: str) -> None:
    """Ask for the list, eight people at a time."""
    url = f"{watched.service.url}{IMAGES}"

    def fires() -> bool:
        with ThreadPoolExecutor(8) as people:
            list(people.map(lambda _: httpx.get(url, timeout=TIMEOUT), range(40)))
        return watched.fires(alert)

    wait_until(fires, WAIT_SECONDS)


def test_a_stopped_database_is_told_and_the_errors_that_follow_are_kept_back(
    tmp_path: Path,
) -> None:
    with watched_service(tmp_path) as watched:
        pid_file = watched.service.data_dir / "postgres" / "postmaster.pid"
        psutil.Process(int(pid_file.read_text().split()[0])).kill()
        watched.wait_for("DatabaseDown")
        ask_until_it_fires(watched, "BudgetBurning")
        burning = next(
            alert
            for alert in watched.alertmanager.alerts()
            if alert["labels"]["alertname"] == "BudgetBurning"
        )
        assert burning["labels"]["objective"] == "requests"
        assert burning["labels"]["severity"] == "critical"
        wait_until(lambda: "BudgetBurning" in watched.alertmanager.suppressed())
        assert "DatabaseDown" not in watched.alertmanager.suppressed()


def test_a_database_that_answers_slowly_is_told_by_the_objective_of_speed(
    tmp_path: Path, proxy: DatabaseProxy
) -> None:
    with watched_service(tmp_path, f"DATABASE_URL={address(proxy.url)}") as watched:
        proxy.delay = 0.1
        ask_until_it_fires(watched, "BudgetBurning")
        (burning,) = watched.prometheus.query('ALERTS{alertname="BudgetBurning"}')
        assert burning["metric"]["objective"] == "speed"
        assert burning["metric"]["severity"] == "warning"


def test_a_disk_that_is_nearly_full_is_told(tmp_path: Path, database_url: URL) -> None:
    try:
        with (
            mounted_disk(tmp_path, DISK_BYTES) as disk,
            watched_service(
                tmp_path, f"DATABASE_URL={address(database_url)}", data_dir=disk.folder
            ) as watched,
        ):
            free = watched.prometheus.value("image_host_storage_free_bytes")
            assert free
            with (disk.folder / "filling").open("wb") as filling:
                filling.write(bytes(int(free * 0.97)))
            watched.wait_for("DiskNearlyFull")
    except CannotMount as error:
        pytest.skip(f"NOT TESTED: a full disk; none can be mounted: {error}")


def test_what_nobody_looked_after_is_told(tmp_path: Path, database_url: URL) -> None:
    """Jobs without a worker, one that was given up, a lost file, an old backup, no cache."""
    with (
        cache_server(tmp_path) as cache,
        watched_service(
            tmp_path, f"DATABASE_URL={address(database_url)}", f"REDIS_URL={cache.url}"
        ) as watched,
    ):
        upload(watched.service)
        upload(watched.service)
        stored_files(watched.service)[0].unlink()
        checked = fsck(
            tmp_path / "checkout",
            DATABASE_URL=address(database_url),
            DATA_DIR=str(watched.service.data_dir),
        )
        assert checked.returncode == 1, checked.stderr
        asyncio.run(
            execute(
                database_url,
                "UPDATE procrastinate_jobs SET created_at = now() - interval '11 minutes'",
                """UPDATE procrastinate_jobs SET status = 'failed'
                   WHERE id = (SELECT min(id) FROM procrastinate_jobs)""",
                "UPDATE installation SET backup_at = now() - interval '49 hours'",
            )
        )
        cache.kill()
        watched.wait_for(
            "QueueStuck", "JobsSetAside", "FsckFoundDamage", "BackupTooOld", "CacheDown"
        )
        assert not watched.fires("QueueBehind")
        summaries = [alert["annotations"]["summary"] for alert in watched.alertmanager.alerts()]
        assert "Jobs (render) wait, and none is done" in summaries
        assert not any("error" in summary for summary in summaries)


def test_workers_that_end_again_and_again_are_told_and_then_a_service_that_is_down(
    tmp_path: Path, database_url: URL
) -> None:
    with watched_service(
        tmp_path, f"DATABASE_URL={address(database_url)}", "WORKER_PROCESSES=1"
    ) as watched:
        for starts in range(1, 5):
            watched.service.wait_for_workers(starts)
            watched.service.workers()[0].kill()
        watched.wait_for("ProcessesRestarting")
        (restarting,) = watched.prometheus.query('ALERTS{alertname="ProcessesRestarting"}')
        assert restarting["metric"]["kind"] == "worker"
        watched.service.stop(SIGTERM)
        watched.wait_for("ServiceDown")
