"""What the documents name is there: files, headings, tests, commands, records."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ADRS = ROOT / "docs" / "adr"
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
FILES = {
    f"/{path.relative_to(ROOT).as_posix()}"
    for folder in (".ci", ".github", "backend", "deploy", "docs")
    for path in (ROOT / folder).rglob("*")
}

of_each_document = pytest.mark.parametrize(
    "document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix()
)


def prose(document: Path) -> str:
    """Return a document without its blocks of code."""
    return re.sub(r"^```.*?^```$", "", document.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(document: Path) -> Iterator[str]:
    """Yield the fragments that lead to the headings of a document, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.*)$", prose(document), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


@of_each_document
def test_every_link_to_a_file_of_ours_resolves(document: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", prose(document)):
        path, _, fragment = target.partition("#")
        if re.match(r"[a-z]+:", path):
            continue
        linked = document.parent / path if path else document
        assert linked.exists(), target
        assert not fragment or fragment in anchors(linked), target


@of_each_document
def test_every_file_that_is_named_exists(document: Path) -> None:
    """A name may leave out its first folders: `api/test_upload.py`."""
    for name in re.findall(r"`([\w./-]*/[\w.-]+\.(?:py|js|css|conf|sql|html))`", prose(document)):
        assert any(file.endswith(f"/{name}") for file in FILES), name


@of_each_document
def test_every_make_target_that_is_named_exists(document: Path) -> None:
    targets = set(re.findall(r"^([a-z0-9-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"`make ([a-z0-9-]+)", document.read_text())) <= targets


def test_every_decision_record_is_in_the_index_under_its_number() -> None:
    index = (ADRS / "README.md").read_text()
    for record in ADRS.glob("0*.md"):
        number = int(record.name[:4])
        assert f"| [{number}]({record.name}) |" in index
        assert record.read_text().startswith(f"# {number}. "), record.name


def test_every_decision_record_that_the_code_names_exists() -> None:
    numbers = {int(record.name[:4]) for record in ADRS.glob("0*.md")}
    for path in (ROOT / "backend").rglob("*.py"):
        for named in re.findall(r"\bADRs? (\d+)", path.read_text("utf-8")):
            assert int(named) in numbers, path
