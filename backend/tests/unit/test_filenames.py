import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from app.domain.filenames import MAX_CHARACTERS, sanitize_filename, with_extension

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


def test_of_a_very_long_name_only_the_beginning_and_the_end_are_read() -> None:
    name = "begin" + "\x00" * 5_000 + "middle" + "\x00" * 5_000 + "end.jpeg"
    assert sanitize_filename(name, FALLBACK) == "beginend.jpeg"


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


JPEG = (".jpg", ".jpeg", ".jpe", ".jfif")


@pytest.mark.parametrize("name", ["a.jpg", "a.JPG", "a.jpeg", "a.Jpe", "a.jfif", "a.png.jpg"])
def test_a_name_that_ends_in_its_type_stays(name: str) -> None:
    assert with_extension(name, JPEG) == name


@pytest.mark.parametrize(
    ("name", "saved"),
    [
        ("photo.png", "photo.jpg"),
        ("IMG_1.HEIC", "IMG_1.jpg"),
        ("drawing.svg", "drawing.jpg"),
        ("photo", "photo.jpg"),
        ("png", "png.jpg"),
        ("page.html", "page.html.jpg"),
        ("setup.exe", "setup.exe.jpg"),
        ("photo.jpg.exe", "photo.jpg.exe.jpg"),
        ("version 1.2", "version 1.2.jpg"),
        ("a . .png", "a.jpg"),
        ("图.png", "图.jpg"),
        ("x" * 251 + ".png", "x" * 251 + ".jpg"),
        ("x" * 255, "x" * 251 + ".jpg"),
        ("😀" * 249 + ". html", "😀" * 249 + ".jpg"),
    ],
)
def test_another_name_is_given_the_ending_of_its_type(name: str, saved: str) -> None:
    assert with_extension(name, JPEG) == saved


def test_a_type_that_is_not_known_changes_no_name() -> None:
    assert with_extension("photo.png", ()) == "photo.png"


@given(st.text(max_size=300))
def test_a_name_with_an_ending_is_as_safe_as_without(name: str) -> None:
    saved = with_extension(sanitize_filename(name, FALLBACK), JPEG)
    assert saved.lower().endswith(JPEG)
    assert sanitize_filename(saved, FALLBACK) == saved
    assert with_extension(saved, JPEG) == saved
