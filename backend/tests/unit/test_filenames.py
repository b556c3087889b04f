import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.filenames import MAX_CHARACTERS, sanitize_filename

FALLBACK = "image.png"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("photo.jpg", "photo.jpg"),
        ("Ferien am Meer.jpg", "Ferien am Meer.jpg"),
        ("../../etc/passwd", "passwd"),
        ("/etc/passwd", "passwd"),
        ("C:\\Users\\me\\photo.jpg", "photo.jpg"),
        ("..\\..\\boot.ini", "boot.ini"),
        ("evil\x00.jpg", "evil.jpg"),
        ("line\r\nSet-Cookie: a=b.jpg", "line Set-Cookie: a=b.jpg"),
        ("tab\tand\x0bmore.jpg", "tab and more.jpg"),
        ("bell\x07\x1b[31m.jpg", "bell[31m.jpg"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2066hidden\u2069.png", "hidden.png"),
        ("two\u2028lines.png", "two lines.png"),
        ("e\u0301te\u0301.jpg", "\u00e9t\u00e9.jpg"),
        ("😀👩\u200d👩\u200d👧.png", "😀👩\u200d👩\u200d👧.png"),
        ("...hidden.png", "hidden.png"),
        ("trailing. . .", "trailing"),
        ("lone\ud800surrogate.png", "lonesurrogate.png"),
    ],
)
def test_names_are_made_harmless(name: str, expected: str) -> None:
    assert sanitize_filename(name, FALLBACK) == expected


@pytest.mark.parametrize(
    "name", [None, "", ".", "..", "/", "a/", "\\", " ", "\x00", "\u202e", "\u200d"]
)
def test_where_nothing_is_left_the_fallback_is_used(name: str | None) -> None:
    assert sanitize_filename(name, FALLBACK) == FALLBACK


def test_a_long_name_is_cut_and_keeps_its_extension() -> None:
    name = sanitize_filename("x" * 4_000 + ".jpeg", FALLBACK)
    assert len(name) == MAX_CHARACTERS
    assert name.endswith("x.jpeg")


def test_a_long_name_without_extension_is_cut() -> None:
    assert sanitize_filename("😀" * 4_000, FALLBACK) == "😀" * MAX_CHARACTERS


@given(st.text(max_size=600))
@example("a" * 250 + ". . .jpg")
@example("a" * 300 + "\u0301" * 300)
def test_every_result_is_safe_to_store_and_to_show(name: str) -> None:
    safe = sanitize_filename(name, FALLBACK)
    assert 0 < len(safe) <= MAX_CHARACTERS
    assert not set(safe) & set("/\\\0\r\n")
    assert not any(
        unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"} for character in safe
    )
    assert safe not in {".", ".."}
    safe.encode()


@given(st.text(max_size=600))
def test_sanitising_twice_is_sanitising_once(name: str) -> None:
    once = sanitize_filename(name, FALLBACK)
    assert sanitize_filename(once, "other") == once
