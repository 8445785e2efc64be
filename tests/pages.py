"""The pieces of code in the pages of the documentation, and how they are run.

```sh       run by `sh -eu`, one after the other, in one directory
```python   run as a program in that directory
```text     what the piece before it prints, on both streams; a line "..." is any lines
```console, ```toml, ```yaml: not run as they stand; a test that knows the page does what they say
           (tests/kernel/test_pages.py)
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from .commands import CHECKOUT, give_to_user, run, session_directory, user_python
from .names import unique

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Piece(NamedTuple):
    """A piece of code of a page: below which heading, in what language, and its text."""

    heading: str
    language: str
    text: str


def pieces(page: str) -> list[Piece]:
    """All that a page has between fences."""
    found, heading, inside = [], "", ""
    lines: list[str] = []
    for line in (CHECKOUT / page).read_text().splitlines():
        fence = re.match("```(.*)", line)
        if inside and line == "```":
            found.append(Piece(heading, inside, "\n".join(lines) + "\n"))
            inside = ""
        elif inside:
            lines.append(line)
        elif fence:
            inside, lines = fence[1] or "none", []
        elif line.startswith("#"):
            heading = line.lstrip("#").strip()
    assert not inside, f"{page}: a fence is open at its end"
    return found


def piece(page: str, heading: str, language: str) -> str:
    """The text of the only piece of that language below that heading."""
    (found,) = (each for each in pieces(page) if each[:2] == (heading, language))
    return found.text


def matches(expected: str, printed: str) -> bool:
    """Whether what was printed is as a page has it."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == "..." else re.escape(line) + "\n" for line in expected.splitlines()
    )
    return re.fullmatch(pattern, printed) is not None


def scratch(*, user: bool) -> Path:
    """A directory with a copy of the package, which its user may write to."""
    place = session_directory() / unique("page")
    place.mkdir(mode=0o755)
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(CHECKOUT / "libct", place / "libct", ignore=ignored)
    tools = place / ".tools"
    tools.mkdir()
    (tools / "python3").symlink_to(user_python())
    if user:
        give_to_user(place)
    return place


def run_page(page: str, *, user: bool, env: Mapping[str, str] | None = None) -> None:
    """Run the pieces of a page from top to bottom."""
    place = scratch(user=user)
    environment = {
        "PATH": f"{place}/.tools:/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin",
        "PYTHONDONTWRITEBYTECODE": "1",
        **(env or {}),
    }
    try:
        for before, command, printed in _with_output(pieces(page)):
            done = run(command, user=user, cwd=place, env=environment)
            said = done.stdout + done.stderr
            if printed is None:
                assert done.returncode == 0, f"{page}:\n{before}\n{said}"
            else:
                assert matches(printed, said), f"{page}:\n{before}\n{said}"
    finally:
        shutil.rmtree(place)


def _with_output(found: list[Piece]) -> Iterator[tuple[str, list[str], str | None]]:
    """What is run, as a command, and what it is to print, where the page tells."""
    for at, each in enumerate(found):
        after = found[at + 1] if at + 1 < len(found) else None
        printed = after.text if after is not None and after.language == "text" else None
        if each.language == "sh":
            yield each.text, ["sh", "-euc", each.text], printed
        elif each.language == "python":
            yield each.text, ["python3", "-c", each.text], printed
