"""The page of the status: what it says, and that nothing in it runs."""

import re
from base64 import b64encode
from datetime import timedelta
from hashlib import sha256

import pytest

from app.api.status_page import POLICY, render_status
from app.api.status_words import ago_of, bytes_of, duration_of, since_of
from app.observability.figures import Dependency
from app.services.troubles import find_troubles
from app.services.watch import Status
from testkit.statuses import NOW, SETTINGS, TROUBLED, WELL, with_figures


def page_of(status: Status, *, refreshes: bool = False) -> str:
    return render_status(status, find_troubles(status, SETTINGS), SETTINGS, refreshes=refreshes)


def heading_of(page: str) -> str:
    (heading,) = re.findall("<h1>(.*)</h1>", page)
    return str(heading)


def test_the_first_words_are_whether_all_is_well() -> None:
    page = page_of(WELL)
    assert heading_of(page) == "All is well"
    assert "<title>✓ All is well · 127.0.0.1:8000</title>" in page


@pytest.mark.parametrize(("status", "row", "is_urgent"), TROUBLED.values(), ids=TROUBLED)
def test_what_is_wrong_is_said_with_where_help_is(
    status: Status, row: str, is_urgent: bool
) -> None:
    page = page_of(status)
    (trouble,) = find_troubles(status, SETTINGS)
    waits = "It works; 1 thing can wait for the morning"
    assert heading_of(page) == (trouble.what.partition(":")[0] if is_urgent else waits)
    assert f"<h2>{trouble.what}</h2>" in page
    assert f"<code>docs/operations.md#{row}</code>" in page


def test_what_is_not_known_is_not_called_well() -> None:
    page = page_of(with_figures(database=None))
    assert heading_of(page).startswith("Not known yet")


def test_what_others_have_written_is_text() -> None:
    reason = "<script>alert(1)</script> & more"
    page = page_of(with_figures(storage=Dependency(is_up=False, since=NOW, reason=reason)))
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; more" in page


def test_the_policy_allows_the_stylesheet_and_nothing_else() -> None:
    (style,) = re.findall("<style>(.*)</style>", page_of(WELL), re.DOTALL)
    digest = b64encode(sha256(style.encode()).digest()).decode()
    assert f"default-src 'none'; style-src 'sha256-{digest}';" in POLICY
    assert "style=" not in page_of(WELL)


@pytest.mark.parametrize(
    ("size", "words"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1000, "1 kB"),
        (1_920_000, "1.92 MB"),
        (81_211_035_648, "81.2 GB"),
        (2 * 10**18, "2 EB"),
    ],
)
def test_bytes_have_a_unit_that_is_easily_read(size: int, words: str) -> None:
    assert bytes_of(size) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-1, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (119, "1 min"),
        (3600, "1 h"),
        (3 * 3600 + 12 * 60, "3 h 12 min"),
        (86_400, "1 day"),
        (2 * 86_400 + 3 * 3600, "2 days 3 h"),
        (40 * 86_400 + 3600, "40 days"),
    ],
)
def test_durations_have_a_unit_that_is_easily_read(seconds: float, words: str) -> None:
    assert duration_of(seconds) == words


def test_a_time_of_another_day_has_its_date() -> None:
    today, earlier = NOW - timedelta(minutes=4), NOW - timedelta(days=2)
    assert since_of(today, NOW).endswith(">02:56:00</time> (4&nbsp;min)")
    assert ago_of(earlier, NOW).endswith(">Wed 25 Nov 03:00:00</time> (2&nbsp;days&nbsp;ago)")
    assert ">Wed 26 Nov 2025 03:00:00<" in ago_of(NOW - timedelta(days=366), NOW)
