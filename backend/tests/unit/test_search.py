"""Names and metadata in every script become terms, and a search finds any beginning of them."""

import pytest

from app.domain.search import (
    MAX_CHARACTERS,
    MAX_QUERY_TERMS,
    MAX_TERMS,
    query_terms,
    terms_of,
)


def finds(query: str, name: str) -> bool:
    """Return whether an image of this name is found, as the database compares terms."""
    terms = terms_of(name, None)
    wanted = query_terms(query)
    return bool(wanted) and all(any(term.startswith(word) for term in terms) for word in wanted)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("img", "IMG_20240131_123456.jpg"),
        ("2024", "IMG_20240131_123456.jpg"),
        ("IMG_20240131_123456.jpg", "IMG_20240131_123456.jpg"),
        ("dsc 0042", "DSC0042.jpg"),
        ("rhein köl", "Köln, Dom und Rhein.jpg"),
        ("koln", "Köln.jpg"),
        ("KÖLN", "Ko\u0308ln.jpg"),
        ("strasse", "Straße.jpg"),
        ("straße", "STRASSE.JPG"),
        ("lodz", "Łódź.jpg"),
        ("Ørsted", "orsted.jpg"),
        ("istanbul", "İstanbul.jpg"),
        ("ISPARTA", "\N{LATIN SMALL LETTER DOTLESS I}sparta.jpg"),
        ("nguyen", "Nguyễn.jpg"),
        ("don't", "don\u2019t.jpg"),
        ("ﬁle", "file.jpg"),
        ("photo", "\uff30\uff28\uff2f\uff34\uff2f.jpg"),
        ("елка", "Ёлка.jpg"),
        ("ЖЕЛЕЗ", "железо.jpg"),
        ("αθηνα", "Ἀθῆναι.jpg"),
        ("ΣΟΦΟΣ", "σοφός.jpg"),
        ("احمد", "أَحْمَد.jpg"),
        ("2024", "صورة ٢٠٢٤.jpg"),
        ("محمد", "محـــمد.jpg"),
        ("نمی\u200cشود", "نمیشود.jpg"),
        ("שלום", "שָׁלוֹם.jpg"),
        ("नमस्ते", "नमस्ते दुनिया.jpg"),
        ("दुनि", "नमस्ते दुनिया.jpg"),
        ("เทพ", "กรุงเทพมหานคร.jpg"),
        ("ມືອງ", "ເມືອງລາວ.jpg"),
        ("ភ្នំ", "ភ្នំពេញ.jpg"),
        ("大学", "北京大学.jpg"),
        ("学", "北京大学.jpg"),
        ("北", "北京大学.jpg"),
        ("大学2024", "北京大学2024.jpg"),
        ("写真", "夏の写真.jpg"),
        ("ガラス", "ｶﾞﾗｽの城.jpg"),
        ("がっこう", "しょうがっこう.jpg"),
        ("휴가", "여름휴가.jpg"),
        ("서울", "서울에서.jpg"),
        ("서울", "\u1109\u1165\u110b\u116e\u11af.jpg"),
        ("🎄", "Weihnachten 🎄.jpg"),
        ("❤", "\u2764\ufe0f.jpg"),
        ("👍", "👍🏽.jpg"),
        ("👩", "👨\u200d👩\u200d👧.jpg"),
        ("葛", "葛\U000e0100飾.jpg"),
        ("tm", "™.jpg"),
        ("12", "①②.jpg"),
    ],
)
def test_what_people_type_finds_the_name(query: str, name: str) -> None:
    assert finds(query, name)
    assert finds(name, name)


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("oto", "photo.jpg"),
        ("köln 2025", "Köln 2024.jpg"),
        ("0131", "20240131.jpg"),
        ("東京", "京東.jpg"),
        ("はす", "バス.jpg"),
        ("क", "ख.jpg"),
        ("กา", "กู.jpg"),
        ("🎄", "🎅.jpg"),
        ("", "photo.jpg"),
    ],
)
def test_what_is_not_in_the_name_does_not_find_it(query: str, name: str) -> None:
    assert not finds(query, name)


@pytest.mark.parametrize("query", ["", " ", "—…!", "'\\:*&|", "\x00\x07", "\u200d\ufe0f", "\u0301"])
def test_there_is_nothing_to_find_in_a_query_of_punctuation(query: str) -> None:
    assert query_terms(query) == ()


def test_an_image_is_found_by_its_camera_and_the_day_it_was_taken() -> None:
    terms = terms_of(
        "a.jpg",
        {
            "camera_make": "FUJIFILM",
            "camera_model": "X-T5",
            "lens": "XF35mmF1.4 R",
            "software": "Capture One",
            "taken_at": "2026-11-21T16:20:00+01:00",
            "iso": 12800,
        },
    )
    assert {"fujifilm", "x", "t", "xf", "35", "capture", "one", "2026", "11", "21"} < {*terms}
    assert not {"16", "20", "12800"} & {*terms}


def test_terms_are_made_once_and_bounded() -> None:
    assert terms_of("Photo photo PHOTO.jpg", None) == ["photo", "jpg"]
    assert terms_of("a" * 200, None) == ["a" * MAX_CHARACTERS]
    name = "".join(map(chr, range(0x4E00, 0x4E00 + 255)))
    terms = terms_of(name, {"lens": name[::-1]})
    assert len(terms) == MAX_TERMS
    assert finds(name[-2:], name)
    assert len(query_terms(name)) == MAX_QUERY_TERMS
    assert finds("a" * 100, "a" * 200)


def test_a_word_that_begins_another_of_the_query_adds_nothing() -> None:
    assert query_terms("d dsc ds 0") == ("dsc", "0")


@pytest.mark.parametrize(
    "character", ["'", "\\", ":", "*", "&", "|", "!", "(", " ", "\u3000", "\0"]
)
def test_terms_hold_nothing_that_means_something_in_a_query(character: str) -> None:
    name = f"a{character}b{character}"
    assert terms_of(name, None) == ["a", "b"]
