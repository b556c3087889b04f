"""The page of the status: whether all is well, and if not, what, since when, and what helps.

One document without scripts, whose stylesheet is in it: it is read where little else works.
"""

import platform
import socket
from base64 import b64encode
from collections.abc import Sequence
from datetime import datetime
from hashlib import sha256
from html import escape
from typing import Final

from app import __version__
from app.api.page import WEB_DIR
from app.api.status_cards import render_cards
from app.api.status_words import ago_of, since_of
from app.config.settings import Settings
from app.database.revisions import HEAD
from app.services.troubles import State, Trouble, state_of
from app.services.watch import Status

_STYLE: Final = (WEB_DIR / "status.css").read_text("utf-8")
_DIGEST: Final = b64encode(sha256(_STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{_DIGEST}'; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
"""Of the page: nothing runs, and nothing is loaded."""
_MARKS: Final = {"well": "✓", "later": "!", "urgent": "✗", "unknown": "?"}
_SHOWN_CHANGES: Final = 8


def render_status(
    status: Status, troubles: Sequence[Trouble], settings: Settings, *, refreshes: bool
) -> str:
    """Return the page.

    Args:
        status: What it shows.
        troubles: What is wrong.
        settings: Of the service.
        refreshes: Whether the browser asks for it again and again.
    """
    state = state_of(status, troubles)
    headline = _headline(state, troubles)
    address = settings.public_url or f"{settings.host}:{settings.port}"
    refresh = (
        '<a href="status">Stop refreshing</a>'
        if refreshes
        else '<a href="status?refresh">Refresh every 10 s</a>'
    )
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{_MARKS[state]} {escape(headline)} · {escape(address)}</title>
<style>{_STYLE}</style>
</head>
<body>
<header class="{state}">
<span class="mark" aria-hidden="true">{_MARKS[state]}</span>
<div>
<h1>{escape(headline)}</h1>
<p>Image host {escape(address)} on {escape(socket.gethostname())}, as of \
<time datetime="{status.at.isoformat()}">{status.at:%a %d %b %H:%M:%S} UTC</time>. {refresh}</p>
</div>
</header>
<main>
{_list_of(troubles, status.at)}
<div class="cards">
{render_cards(status, settings)}
</div>
{_changes(status)}
</main>
<footer>
<p>Version {escape(__version__)}, schema {HEAD}, Python {platform.python_version()}. \
<a href="metrics">Metrics</a> for Prometheus; this page as JSON: \
<code>curl -H Accept:application/json</code></p>
</footer>
</body>
</html>
"""


def _headline(state: State, troubles: Sequence[Trouble]) -> str:
    match state:
        case "well":
            return "All is well"
        case "unknown":
            return "Not known yet: ask again in some seconds"
        case "later":
            count = "1 thing" if len(troubles) == 1 else f"{len(troubles)} things"
            return f"It works; {count} can wait for the morning"
    urgent = [trouble for trouble in troubles if trouble.is_urgent]
    first = urgent[0].what.partition(":")[0]  # the reason is below
    return first if len(urgent) == 1 else f"{first}, and {len(urgent) - 1} more"


def _list_of(troubles: Sequence[Trouble], now: datetime) -> str:
    if not troubles:
        return ""
    items = "\n".join(_trouble(trouble, now) for trouble in troubles)
    return f'<ul class="troubles" aria-label="What is wrong">\n{items}\n</ul>'


def _trouble(trouble: Trouble, now: datetime) -> str:
    when = "Now" if trouble.is_urgent else "In the morning"
    since = f"S{since_of(trouble.since, now)[1:]}. " if trouble.since else ""
    return (
        f'<li class="{"urgent" if trouble.is_urgent else "later"}">'
        f"<h2>{escape(trouble.what)}</h2>"
        f"<p><b>{when}.</b> {since}{escape(trouble.advice)}</p>"
        f'<p class="quiet">What helps: <code>{escape(trouble.manual)}</code></p></li>'
    )


def _changes(status: Status) -> str:
    rows = "".join(
        f"<div><dt>{ago_of(at, status.at)}</dt><dd>{escape(what)}</dd></div>"
        for at, _, what in status.changes[:_SHOWN_CHANGES]
    )
    nothing = "" if rows else "<p>Nothing.</p>"
    return (
        f"<section><h2>What has changed {since_of(status.since, status.at)}</h2>"
        f"{nothing}<dl>{rows}</dl></section>"
    )
