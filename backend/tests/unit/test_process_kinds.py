"""When a process is started in the place of one that has ended."""

import socket

import pytest

from app.server.process_kinds import MOST_PAUSE, CannotServe, ServerProcesses, Workers


def test_a_worker_that_has_worked_for_long_is_replaced_at_once() -> None:
    workers = Workers([], 1)
    assert workers.pause_after(MOST_PAUSE, "killed", was_killed=True) == 0


def test_the_pause_doubles_with_each_worker_that_fails_and_is_bounded() -> None:
    workers = Workers([], 1)
    pauses = [workers.pause_after(1, "broken", was_killed=False) for _ in range(8)]
    assert pauses == [1, 2, 4, 8, 16, 30, 30, 30]
    assert workers.pause_after(MOST_PAUSE, "killed", was_killed=True) == 0
    assert workers.pause_after(0, "broken", was_killed=False) == 1


def test_the_fifth_server_process_in_a_row_that_ends_at_once_has_no_successor() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        servers = ServerProcesses([], 2, listener, lambda: None)
        servers.observe(2)
        pauses = [servers.pause_after(0.9, "", was_killed=True)]
        pauses += [servers.pause_after(0, "broken", was_killed=False) for _ in range(3)]
        assert pauses == [0, 0, 0, 0]
        with pytest.raises(CannotServe, match="5 server processes in a row ended"):
            servers.pause_after(0, "broken", was_killed=False)
