"""How code is counted, and that docs/audit.md says what the server loads."""

from __future__ import annotations

import re

import pytest

from tests import size
from tests.size import MOST_LOADED, Size, count

TEXT = '''"""A docstring
of two lines."""

from __future__ import annotations  # counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


# a comment
def function(
    one: int,
) -> str:
    """Docstring."""

    return """a text
of two lines"""
'''


def test_what_is_a_line_of_code() -> None:
    assert count(TEXT) == Size(2 + 3 + 2, 0)
    assert count("A = 1\nB = (\n    2,\n)\n") == Size(0, 4)
    assert count("if A:\n    def f(): pass\n") == Size(2, 0)
    assert count('"""Only this."""\n') == Size(0, 0)


def test_the_page_says_what_is_loaded() -> None:
    text = size.PAGE.read_text()
    assert text == size.page_with(size.loaded_table()), "python -m tests.size --write"


def test_what_is_loaded_is_small() -> None:
    assert sum(found.code for found in size.sizes().values()) <= MOST_LOADED


def test_what_has_no_stop_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(size.STOPS, "the network")
    with pytest.raises(AssertionError, match=r"no stop .* has these modules: .*network\.ready"):
        size.loaded_table()


def test_what_the_page_names_is_there() -> None:
    text = size.PAGE.read_text()
    paths = re.findall(r"\btests/[\w/]+\.py\b", text)
    paths += [f"libct/{name}" for name in re.findall(r"`(\w+/\w+\.py)`", text)]
    paths += re.findall(r"`(libct/[\w/]+\.py)`", text)
    assert len(paths) > 10
    for path in paths:
        assert (size.PACKAGE.parent / path).is_file(), path
    for room in re.findall(r"`(\w+)/`", text):
        assert (size.PACKAGE / room).is_dir(), room


def test_rooms_add_up() -> None:
    rooms = size.by_room()
    assert {"bootstrap", "cli", "plan", "(the package)"} < set(rooms)
    assert rooms["seccomp"][1] > 4000  # the calls of the architectures, made by a script
    assert rooms["rootfs"][1] == 0
