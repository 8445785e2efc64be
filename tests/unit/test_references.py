"""References from the code to the documentation: each leads to a page, a heading, an invariant.

What is meant is for example "docs/architecture.md, invariant 7", "docs/architecture.md, Cloning"
and, between pages, [text](page.md#heading).  Links of a page lead somewhere, too.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from ..commands import CHECKOUT
from .test_rooms import ROOMS

PAGES = sorted([CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")])
SUFFIXES = (".py", ".md", ".toml", ".ini", ".sh", ".1", ".txt", "")
# Papers that nobody has who has the repository.  In parts, for this file is looked at as well.
PAPERS = [f"{name}.md" for name in ("DE" + "SIGN", "ST" + "YLE", "REFER" + "ENCE")]
BARE = re.compile(r"\b(?:REFER" + r"ENCE|DE" + r"SIGN|ST" + r"YLE) [0-9]")
# "docs/page.md", and what may stand after it: ", invariant 7" or ", Heading".
REFERENCE = re.compile(r"\bdocs/([\w./-]*\w)(?:,\s+(?:(invariants?) ([0-9]+)|([A-Z][^).;\"]*)))?")


def files() -> list[Path]:
    """The files of the repository that are text; those of git, where that can tell."""
    try:
        listed = subprocess.run(
            ["git", "ls-files", "-co", "--exclude-standard"],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            check=True,
        )
        found = [CHECKOUT / line for line in listed.stdout.splitlines()]
    except (FileNotFoundError, subprocess.CalledProcessError):  # no git, or a copy
        rooms = ("libct", "tests", "docs", ".ci")
        found = [path for room in rooms for path in (CHECKOUT / room).rglob("*")]
        found += list(CHECKOUT.glob("*"))
    return [
        path
        for path in found
        if path.is_file() and path.suffix in SUFFIXES and "__pycache__" not in path.parts
    ]


def in_one_line(text: str) -> str:
    """Without the ends of lines, and the signs that a comment goes on with."""
    return re.sub(r"\s*\n\s*(?:#\s+)?", " ", text)


def headings(page: Path) -> list[str]:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    return [line.lstrip("#").strip() for line in text.splitlines() if re.match("#+ ", line)]


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def wrong(text: str) -> list[str]:
    """The references of a text that lead nowhere."""
    found = []
    for name, word, number, heading in REFERENCE.findall(in_one_line(text)):
        page = CHECKOUT / "docs" / name
        if not page.exists():
            found.append(f"docs/{name}")
        elif word and f"\n{number}. **" not in page.read_text():
            found.append(f"docs/{name}, {word} {number}")
        elif heading and page.suffix == ".md" and not begins(heading, headings(page)):
            found.append(f"docs/{name}, {heading}")
    return found


def begins(text: str, headings: list[str]) -> bool:
    """Whether text begins with a heading, up to the end of a word."""
    return any(re.match(re.escape(heading) + r"(?!\w)", text) for heading in headings)


@pytest.mark.parametrize("name", PAPERS)
def test_nothing_refers_to_papers_outside_of_the_repository(name: str) -> None:
    looked_at = files()
    assert len(looked_at) > 400
    for path in looked_at:
        text = path.read_text(errors="replace")
        assert name not in text, path
        assert not BARE.search(text), path


def test_each_reference_to_a_page_leads_there() -> None:
    found = []
    count = 0
    for path in files():
        if path.suffix != ".md" and path != Path(__file__):
            text = path.read_text(errors="replace")
            count += len(REFERENCE.findall(in_one_line(text)))
            found += [f"{path.relative_to(CHECKOUT)}: {each}" for each in wrong(text)]
    assert found == []
    assert count > 30


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_each_link_of_a_page_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        name, _, part = target.partition("#")
        path = page.parent / name if name else page
        assert path.exists(), target
        assert not part or part in map(anchor, headings(path)), target


def test_every_page_is_on_the_map() -> None:
    text = (CHECKOUT / "docs/index.md").read_text()
    for page in PAGES:
        name = str(page.relative_to(CHECKOUT))
        if name.startswith("docs/") and page.name not in ("index.md", "README.md"):
            assert f"({name[len('docs/') :]})" in text, name


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("(docs/architecture.md, invariant 4)", []),
        ("# as docs/architecture.md,\n    # invariant 10 has it", []),
        ("docs/architecture.md, invariant 11.", ["docs/architecture.md, invariant 11"]),
        ("docs/architecture.md, Cloning).", []),
        ("docs/architecture.md, Cloned).", ["docs/architecture.md, Cloned"]),
        ("docs/nothing.md tells", ["docs/nothing.md"]),
    ],
)
def test_a_reference_that_leads_nowhere_is_found(text: str, found: list[str]) -> None:
    assert wrong(text) == found


def test_the_rooms_of_the_architecture_are_those_that_there_are() -> None:
    page = (CHECKOUT / "docs/architecture.md").read_text()
    section = page.partition("\n## The rooms\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("| `")]
    named = [re.sub(r"(\.py|/)$", "", name) for name in re.findall("`([^`]+)`", " ".join(cells))]
    assert named == list(ROOMS)


def test_the_invariants_of_the_architecture_are_those_of_the_security_page() -> None:
    page = (CHECKOUT / "docs/architecture.md").read_text()
    section = page.partition("\n### Invariants\n")[2].partition("\n## ")[0]
    table = (CHECKOUT / "docs/security.md").read_text()
    numbers = re.findall(r"^([0-9]+)\. \*\*", section, re.MULTILINE)
    assert numbers == re.findall(r"^\| ([0-9]+)\. ", table, re.MULTILINE)
