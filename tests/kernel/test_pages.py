"""The pages of the documentation: what they have commands typed for, and programs, works."""

from __future__ import annotations

import re

import pytest

from ..commands import CHECKOUT
from ..needs import requires
from ..pages import matches, pieces, run_page

pytestmark = [requires("root", "user", "overlay"), pytest.mark.usefixtures("nothing_left")]

# Pages that are run as they stand, and whether the ordinary user runs them as well.
PAGES = {"docs/troubleshooting.md": True, "docs/vendoring.md": True}
# Pages with tests of their own.
OWN = {
    "README.md": "tests/kernel/test_readme.py",
    "docs/checkpoint.md": "tests/vm/test_checkpoint.py",
    "docs/landlock.md": "tests/kernel/test_landlock.py",
    "docs/library.md": "tests/kernel/test_docs_example.py",
    "docs/network.md": "tests/kernel/test_sandbox_net.py",
}
# What stands in pieces that are not run, and the test that does what they say.
CONSOLE = {
    ("docs/ci.md", "Docker"): "tests/kernel/test_ci.py",
    ("docs/ci.md", "GitHub"): "tests/kernel/test_ci.py",
    ("docs/ci.md", "GitLab"): "tests/kernel/test_ci.py",
    (
        "docs/troubleshooting.md",
        "AppArmor restricts user namespaces",
    ): "tests/vm/test_apparmor.py",
    ("docs/vendoring.md", "For packagers"): "tests/unit/test_packaging.py",
    ("docs/vendoring.md", "A wheel"): "tests/unit/test_packaging.py",
}
LANGUAGES = {"sh", "python", "text"}


@pytest.mark.parametrize(
    ("page", "user"),
    [(page, user) for page, both in PAGES.items() for user in ([False, True][: 1 + both])],
)
def test_what_a_page_says_works(page: str, user: bool) -> None:
    run_page(page, user=user)


def test_every_piece_of_every_page_is_run() -> None:
    for path in [CHECKOUT / "README.md", *(CHECKOUT / "docs").rglob("*.md")]:
        page = str(path.relative_to(CHECKOUT))
        for piece in pieces(page):
            if page in OWN:
                assert path.name in (CHECKOUT / OWN[page]).read_text()
            elif piece.language in ("console", "toml", "yaml"):
                test = CHECKOUT / CONSOLE[page, piece.heading]
                assert page in test.read_text()
                assert f'"{piece.heading}"' in test.read_text()
            else:
                assert piece.language in LANGUAGES
                assert page in PAGES, f"nothing runs the pieces of {page}"


def test_what_is_printed_is_compared() -> None:
    assert matches("a\n...\nb\n", "a\nb\n")
    assert matches("a\n...\nb\n", "a\n1\n2\nb\n")
    assert not matches("a\n...\nb\n", "a\n1\n2\n")
    assert not matches("a.\n", "ab\n")


def test_no_page_is_named_that_is_not_there() -> None:
    for page in [*PAGES, *OWN, *(page for page, _ in CONSOLE)]:
        assert (CHECKOUT / page).is_file()
    for page, heading in CONSOLE:
        assert re.search(f"^#+ {heading}$", (CHECKOUT / page).read_text(), re.MULTILINE)
