"""Every order in which one change, two readers and the faults of a cache can meet (ADR 50).

A model of what `services/changes.py`, `services/cached_rows.py` and the cache do. Once a change has
been answered, no read that begins then may get the old row. Ours is right, and without any one of
its parts it is not.

What the clock decides is put in as it is chosen: a tombstone outlasts the transaction and the time
in which a reader may fill; readers that looked up before the commit are late when it expires.
"""

from collections.abc import Iterator
from typing import Literal, NamedTuple

import pytest

OLD, NEW, TOMBSTONE = "old", "new", "tombstone"


class Protocol(NamedTuple):
    """What a protocol does; ours does all of it."""

    leaves_tombstones: bool = True
    """Where something was invalidated; else there is nothing."""
    never_overwrites: bool = True
    """A reader fills with SET NX."""
    refuses_late_readers: bool = True
    """By the server's clock, so that a command is refused too that lay in a socket."""
    has_generation: bool = True
    """A flush makes void what was looked up before it."""
    has_run_id: bool = True
    """What another server process has stored, as in a snapshot, is not seen."""
    invalidates_before: bool = True
    invalidates_after: bool = True
    has_jobs: bool = True
    """Without an answer of the cache, a job is committed that invalidates the entry."""
    waits: bool = True
    """Without an answer after the commit, the change is answered when no process uses the cache for
    that row any more."""


class Reader(NamedTuple):
    step: Literal["begin", "read", "fill", "end"] = "begin"
    generation: int = 0
    """Of what was in the cache when it looked up."""
    row: str = OLD
    is_early: bool = False
    """Whether it looked up before the commit."""
    is_late: bool = False
    """Whether it has taken longer than a reader may."""


class State(NamedTuple):
    writer: Literal["begin", "commit", "after", "job", "wait", "answer", "end", "crashed"] = "begin"
    row: str = OLD
    has_job: bool = False
    """Whether there is one, which is seen when the change is committed."""
    is_job_known: bool = False
    """Whether that was so long ago that every process knows of it."""
    entry: str = ""
    generation: int = 0
    has_lost_data: bool = False
    readers: tuple[Reader, Reader] = (Reader(), Reader())


Step = tuple[str, State]


def steps_of_writer(state: State, protocol: Protocol) -> Iterator[Step]:
    done = state._replace(entry=TOMBSTONE if protocol.leaves_tombstones else "")
    unanswered = (("no answer", state), ("the answer is lost", done))
    match state.writer:
        case "begin":
            yield "it is invalidated before", done._replace(writer="commit")
            for how, one in unanswered:
                yield f"before, {how}", one._replace(writer="commit", has_job=protocol.has_jobs)
        case "commit":
            readers = [reader._replace(is_early=True) for reader in state.readers]
            committed = state._replace(row=NEW, readers=(readers[0], readers[1]))
            after: Literal["after", "answer"] = "after" if protocol.invalidates_after else "answer"
            yield "the change is committed", committed._replace(writer=after)
        case "after":
            yield "it is invalidated after", done._replace(writer="answer")
            for how, one in unanswered:
                yield f"after, {how}", one._replace(writer="job" if protocol.has_jobs else "answer")
        case "job":
            yield (
                "a job is committed",
                state._replace(
                    writer="wait" if protocol.waits else "answer", has_job=True, is_job_known=False
                ),
            )
        case "wait" if state.is_job_known or not state.has_job:
            yield "two seconds are over", state._replace(writer="answer")
        case "answer":
            yield "the change is answered", state._replace(writer="end")
    if state.writer not in {"end", "crashed"}:
        yield "the writer crashes", state._replace(writer="crashed")


def uses_cache(state: State) -> bool:
    return not (state.has_job and state.is_job_known)


def steps_of_reader(state: State, number: int, protocol: Protocol) -> Iterator[Step]:
    reader = state.readers[number]
    filled = state
    match reader.step:
        case "begin" if uses_cache(state) and state.entry in {"", TOMBSTONE}:
            looked_up = reader._replace(step="read", generation=state.generation)
            does, after = "looks up", looked_up._replace(is_early=state.row == OLD)
        case "read":
            does, after = f"reads {state.row}", reader._replace(step="fill", row=state.row)
        case "fill":
            is_refused = (
                (protocol.never_overwrites and state.entry != "")
                or (protocol.refuses_late_readers and reader.is_late)
                or (protocol.has_generation and reader.generation != state.generation)
            )
            does, after = f"fills {reader.row}", reader._replace(step="end")
            if is_refused:
                does = "is refused"
            else:
                filled = state._replace(entry=reader.row)
        case _:
            return
    readers = (after, state.readers[1]) if number == 0 else (state.readers[0], after)
    yield f"reader {number} {does}", filled._replace(readers=readers)


def steps_of_the_rest(state: State, protocol: Protocol) -> Iterator[Step]:
    is_committed = state.row == NEW
    if state.has_job and is_committed:
        yield "two seconds pass", state._replace(is_job_known=True)
        entry = TOMBSTONE if protocol.leaves_tombstones else ""
        yield "the job is done", state._replace(has_job=False, entry=entry)
    if state.entry == TOMBSTONE and is_committed:
        late = [reader._replace(is_late=reader.is_early) for reader in state.readers]
        yield "the tombstone expires", state._replace(entry="", readers=(late[0], late[1]))
    if not state.has_lost_data:
        empty = state._replace(entry="", generation=state.generation + 1, has_lost_data=True)
        yield "the cache is flushed", empty
        restored = state._replace(entry=OLD, has_lost_data=True)
        yield "another server starts from a snapshot", empty if protocol.has_run_id else restored


def is_wrong(state: State) -> bool:
    """Return whether a read that begins now may get the old row, and must not.

    That is so after the answer. Where the writer has crashed there was none; but only if the cache
    has lost its data, too, may the old row stay there.
    """
    if state.row == OLD or state.entry != OLD or not uses_cache(state):
        return False
    stays = not state.has_job and not state.has_lost_data
    return state.writer == "end" or (state.writer == "crashed" and stays)


def counterexample(protocol: Protocol, *, faults: bool = True) -> list[str]:
    """Return the shortest way to a wrong state, none if there is no such state."""
    first = State() if protocol.invalidates_before else State(writer="commit")
    ways: dict[State, list[str]] = {first: []}
    for state in (queue := [first]):
        if is_wrong(state):
            return ways[state]
        for step, after in (
            *steps_of_writer(state, protocol),
            *steps_of_reader(state, 0, protocol),
            *steps_of_reader(state, 1, protocol),
            *steps_of_the_rest(state, protocol),
        ):
            is_fault = after.has_lost_data or after.has_job or after.writer == "crashed"
            if after not in ways and (faults or not is_fault):
                ways[after] = [*ways[state], step]
                queue.append(after)
    assert len(ways) > 10_000, "not everything was looked at"
    return []


def test_no_read_that_begins_after_the_answer_gets_the_old_row() -> None:
    assert counterexample(Protocol()) == []


@pytest.mark.parametrize("part", Protocol._fields)
def test_no_part_of_the_protocol_can_be_left_out(part: str) -> None:
    assert counterexample(Protocol()._replace(**{part: False}))


def test_deleting_after_the_commit_lets_a_reader_put_the_old_row_back() -> None:
    naive = Protocol(*[False] * len(Protocol._fields))._replace(invalidates_after=True)
    assert counterexample(naive, faults=False) == [
        "reader 0 looks up",
        "reader 0 reads old",
        "the change is committed",
        "it is invalidated after",
        "the change is answered",
        "reader 0 fills old",
    ]


def test_without_the_servers_clock_a_late_command_fills_when_the_tombstone_has_expired() -> None:
    way = counterexample(Protocol(refuses_late_readers=False), faults=False)
    assert way[-3:] == ["the change is answered", "the tombstone expires", "reader 0 fills old"]
