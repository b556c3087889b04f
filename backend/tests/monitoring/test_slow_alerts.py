"""Alerts that look at hours and days, caused as in `test_alerts.py`: 600 times quicker."""

from pathlib import Path

import httpx
import pytest
from sqlalchemy.engine import URL

from testkit.disks import CannotMount, mounted_disk
from testkit.live import TIMEOUT, wait_until
from testkit.programs import needs_alertmanager, needs_prometheus
from testkit.prometheus import MUCH_QUICKER
from testkit.service import IMAGES, published_files, storage_unavailable, upload
from testkit.watched import WAIT_SECONDS, watched_service

pytestmark = [needs_prometheus, needs_alertmanager]

DISK_BYTES = 32 * 1024 * 1024


def test_a_disk_that_fills_up_is_told_and_again_when_it_is_nearly_full(
    tmp_path: Path, database_url: URL
) -> None:
    try:
        with (
            mounted_disk(tmp_path, DISK_BYTES) as disk,
            watched_service(
                tmp_path, database=database_url, data_dir=disk.folder, quicker=MUCH_QUICKER
            ) as watched,
            (disk.folder / "filling").open("wb", buffering=0) as filling,
        ):
            free = watched.prometheus.value("image_host_storage_free_bytes")
            assert free

            def is_told() -> bool:
                filling.write(bytes(100))
                return watched.fires("DiskFillingUp")

            filling.write(bytes(int(free * 0.8)))
            wait_until(is_told, WAIT_SECONDS)
            assert not watched.fires("DiskNearlyFull")
            filling.write(bytes(int(free * 0.17)))
            watched.wait_for("DiskNearlyFull")
    except CannotMount as error:
        pytest.skip(f"NOT TESTED: a full disk; none can be mounted: {error}")


def test_an_error_now_and_then_is_told_and_kept_back_where_the_storage_is_lost(
    tmp_path: Path, database_url: URL
) -> None:
    with watched_service(tmp_path, database=database_url, quicker=MUCH_QUICKER) as watched:
        damaged = upload(watched.service)
        published_files(watched.service)[0].unlink()
        whole = upload(watched.service)

        def is_told() -> bool:
            with httpx.Client(base_url=watched.service.url, timeout=TIMEOUT) as client:
                for _ in range(300):
                    assert client.get(f"{IMAGES}/{whole['id']}/file").is_success
                assert client.get(f"{IMAGES}/{damaged['id']}/file").is_server_error
            return watched.fires("BudgetBurningSlowly")

        wait_until(is_told, WAIT_SECONDS)
        (burning,) = watched.labels("BudgetBurningSlowly")
        assert burning["objective"] == "requests"
        assert burning["severity"] == "warning"
        with storage_unavailable(watched.service):
            watched.wait_for("StorageDown")
            wait_until(lambda: "BudgetBurningSlowly" in watched.alertmanager.suppressed())
            assert "StorageDown" not in watched.alertmanager.suppressed()
