from email.message import Message

from hypothesis import given
from hypothesis import strategies as st

from app.api.images.file_headers import content_disposition
from app.domain.filenames import sanitize_filename


def test_a_plain_name_stands_in_quotes() -> None:
    assert (
        content_disposition("my photo.jpg", attachment=False) == 'inline; filename="my photo.jpg"'
    )


def test_a_download_is_an_attachment() -> None:
    assert content_disposition("a.jpg", attachment=True) == 'attachment; filename="a.jpg"'


def test_other_names_have_an_ascii_fallback() -> None:
    expected = "inline; filename=\"Z_rich _.jpg\"; filename*=UTF-8''Z%C3%BCrich%20%E2%82%AC.jpg"
    assert content_disposition("Zürich €.jpg", attachment=False) == expected


def test_quotes_cannot_end_the_name() -> None:
    header = content_disposition('a"; filename="b.exe', attachment=False)
    assert header.startswith('inline; filename="a_; filename=_b.exe"; filename*=')


@given(st.text(min_size=1, max_size=300))
def test_a_client_reads_back_the_name_that_was_stored(name: str) -> None:
    safe = sanitize_filename(name, "image.jpg")
    header = content_disposition(safe, attachment=False)
    header.encode("ascii")
    message = Message()
    extended = header.partition("; filename*=")[2]
    message["Content-Disposition"] = f"inline; filename*={extended}" if extended else header
    assert message.get_filename() == safe
