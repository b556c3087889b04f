"""The commands about users and keys: what they print, and what they refuse."""

import argparse
import re
from types import ModuleType

import pytest

from app.commands import keys, users
from app.config.settings import Settings

CREATED = r"created \d{4}-\d\d-\d\d"
MINUTE = r"\d{4}-\d\d-\d\d \d\d:\d\d"


class Commands:
    """Runs commands as `python -m app` does, in this process."""

    def __init__(self, settings: Settings, output: pytest.CaptureFixture[str]) -> None:
        self._settings = settings
        self._output = output

    def users(self, *arguments: str) -> tuple[int, list[str]]:
        return self._run(users, arguments)

    def keys(self, *arguments: str) -> tuple[int, list[str]]:
        return self._run(keys, arguments)

    def _run(self, command: ModuleType, arguments: tuple[str, ...]) -> tuple[int, list[str]]:
        parser = argparse.ArgumentParser()
        command.add_arguments(parser)
        status = command.run(self._settings, parser.parse_args(arguments))
        said = self._output.readouterr()
        return status, (said.out + said.err).splitlines()


@pytest.fixture
def commands(settings: Settings, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(settings, capsys)


def test_users_are_added_listed_disabled_and_enabled(commands: Commands) -> None:
    added = commands.users("add", "ada@example.org", "--quota-bytes", "1000", "--admin")
    line = f"ada@example.org: admin, 0 images, 0 of 1000 bytes, {CREATED}"
    assert added[0] == 0
    assert re.fullmatch(line, added[1][0])
    commands.users("add", "Bob@example.org", "--quota-images", "3")
    status, listed = commands.users("list")
    assert status == 0
    assert re.fullmatch(line, listed[0])
    assert re.fullmatch(f"Bob@example.org: user, 0 of 3 images, 0 bytes, {CREATED}", listed[1])
    status, (disabled,) = commands.users("disable", "ADA@example.org")
    assert status == 0
    assert re.fullmatch(line + r", disabled \d{4}-\d\d-\d\d", disabled)
    status, (enabled,) = commands.users("enable", "ada@example.org")
    assert re.fullmatch(line, enabled)


def test_a_key_is_the_last_line_alone_and_listed_by_its_prefix(commands: Commands) -> None:
    commands.users("add", "ada@example.org")
    status, lines = commands.keys(
        "create", "ada@example.org", "--scopes", "read,write", "--expires", "90d"
    )
    assert status == 0
    key = lines[-1]
    assert re.fullmatch(r"ih_\w{8}_[\w-]{43}", key)
    prefix = key[:11]
    described = f"{prefix}: read,write, created {MINUTE}, expires {MINUTE}"
    assert re.fullmatch(described + r"\. It is shown here and never again:", lines[0])
    status, (listed,) = commands.keys("list", "ada@example.org")
    assert re.fullmatch(described, listed)
    assert commands.keys("revoke", prefix) == (0, [f"{prefix}: revoked"])
    status, (listed,) = commands.keys("list", "ada@example.org")
    assert re.fullmatch(f"{described}, revoked {MINUTE}", listed)


def test_a_user_is_deleted_by_a_worker_and_without_one_that_is_said(commands: Commands) -> None:
    commands.users("add", "ada@example.org")
    status, lines = commands.users("delete", "ada@example.org", "--images", "keep")
    assert status == 0
    assert lines[0].endswith(", being deleted (images: keep)")
    assert lines[1:] == ["No worker is running: `make worker` starts one"]
    assert commands.users("list")[1] == lines[:1]
    assert commands.keys("create", "ada@example.org")[0] == 1


def test_what_is_not_done_is_said_in_one_line(commands: Commands) -> None:
    commands.users("add", "ada@example.org")
    for status, lines in (
        commands.users("add", "ADA@example.org"),
        commands.users("add", "nobody"),
        commands.users("disable", "bob@example.org"),
        commands.keys("create", "bob@example.org"),
        commands.keys("list", "bob@example.org"),
        commands.keys("revoke", "ih_00000000"),
    ):
        assert status == 1
        assert len(lines) == 1
        assert lines[0].startswith("Not done: ")


@pytest.mark.parametrize(
    "arguments",
    [
        ["users", "add", "a@b", "--quota-bytes", "-1"],
        ["users", "add", "a@b", "--quota-bytes", "9223372036854775808"],
        ["users", "delete", "a@b"],
        ["keys", "create", "a@b", "--scopes", "all"],
        ["keys", "create", "a@b", "--scopes", ""],
        ["keys", "create", "a@b", "--expires", "soon"],
        ["keys", "create", "a@b", "--expires", "2020-01-31"],
        ["keys", "create", "a@b", "--expires", "0d"],
        ["keys", "create", "a@b", "--expires", "99999d"],
    ],
)
def test_wrong_arguments_are_refused(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser()
    {"users": users, "keys": keys}[arguments[0]].add_arguments(parser)
    with pytest.raises(SystemExit) as refusal:
        parser.parse_args(arguments[1:])
    assert refusal.value.code == 2
