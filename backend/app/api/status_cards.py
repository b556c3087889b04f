"""The cards of the status page: what a service needs, does, keeps, and by which processes."""

from collections.abc import Iterable
from datetime import UTC, datetime
from html import escape
from typing import Final

from app.api.status_words import ago_of, bytes_of, duration_of, since_of
from app.config.settings import Settings
from app.observability.figures import Dependency
from app.services.watch import NAMES, Status

_UNKNOWN: Final = "not known at the moment"


def render_cards(status: Status, settings: Settings) -> str:
    """Return the cards."""
    return "\n".join(
        (
            _card("Needs", _needs(status, settings)),
            _card("Requests", _requests(status)),
            _card("Images", _images(status, settings)),
            _card("Jobs", _jobs(status)),
            _card("Upkeep", _upkeep(status)),
            _card("Processes", _processes(status)),
        )
    )


def _card(title: str, rows: Iterable[tuple[str, str]]) -> str:
    """Return a section of names and values, which are HTML."""
    lines = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in rows)
    return f"<section><h2>{title}</h2><dl>{lines}</dl></section>"


def _needs(status: Status, settings: Settings) -> Iterable[tuple[str, str]]:
    figures = status.figures
    yield "Database", _dependency(figures.database, status.at)
    yield "Storage", _dependency(figures.storage, status.at)
    has_cache = settings.redis_url.get_secret_value()
    yield "Cache", _dependency(figures.cache, status.at) if has_cache else "none is set up"


def _dependency(dependency: Dependency | None, now: datetime) -> str:
    if dependency is None:
        return _UNKNOWN
    word, state = ("✓ works", "good") if dependency.is_up else ("✗ fails", "bad")
    return f'<b class="{state}">{word}</b> {since_of(dependency.since, now)}'


def _requests(status: Status) -> Iterable[tuple[str, str]]:
    seconds, requests, errors, p95, _ = status.recent
    within = f"in the last {duration_of(seconds)}"
    yield "Answered", f"{requests:,} {within}"
    share = f" ({errors / requests:.2%})" if errors else ""
    yield "Failed (5xx)", f"{errors:,}{share}"
    if p95 is not None:
        slow = "longer than 10 s" if p95 == float("inf") else f"up to {p95 * 1000:g} ms"
        yield "95 % took", slow


def _images(status: Status, settings: Settings) -> Iterable[tuple[str, str]]:
    stored, space = status.figures.stored, status.figures.space
    yield "Images", f"{stored.images:,}, {bytes_of(stored.bytes)}" if stored else _UNKNOWN
    if settings.storage_url:
        yield "Disk", "a store keeps them"
    elif space:
        used = (space.size - space.free) / space.size
        meter = (
            f'<meter aria-label="Used of the disk" max="1" low=".9" high=".95" optimum="0" '
            f'value="{used:.4f}">{used:.0%}</meter>'
        )
        yield "Disk", f"{bytes_of(space.free)} of {bytes_of(space.size)} free{meter}"
    else:
        yield "Disk", _UNKNOWN


def _jobs(status: Status) -> Iterable[tuple[str, str]]:
    queue = status.figures.queue
    yield "Done", f"{status.recent.jobs_done:,} in the last {duration_of(status.recent.seconds)}"
    if queue is None:
        yield "Queue", _UNKNOWN
        return
    if not any(task.queued + task.postponed + task.running + task.failed for task in queue):
        yield "Queue", "empty"
    for task in queue:
        counts = (
            (task.queued, f"queued, the oldest for {duration_of(task.oldest_seconds)}"),
            (task.running, "running"),
            (task.postponed, "postponed"),
            (task.failed, "set aside"),
        )
        if parts := [f"{count:,} {what}" for count, what in counts if count]:
            yield f"<code>{escape(task.task)}</code>", "<br>".join(parts)


def _upkeep(status: Status) -> Iterable[tuple[str, str]]:
    maintenance = status.figures.maintenance
    if not maintenance:
        yield "fsck, backup", _UNKNOWN
        return
    fsck, findings, backup = maintenance
    never = "never recorded"
    checked = f"{ago_of(fsck, status.at)}, {findings or 'no'} findings" if fsck else never
    yield "fsck --checksums", checked
    yield "Backup", ago_of(backup, status.at) if backup else never


def _processes(status: Status) -> Iterable[tuple[str, str]]:
    for one in status.processes.running.values():
        since = datetime.fromtimestamp(one.since, UTC) if one.since else None
        state = since_of(since, status.at) if since else "starts"
        yield NAMES[one.kind].capitalize(), f"{one.pid}, {state}"
