"""The command lines of the documentation have commands and options that there are."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING

import pytest

from libct.cli.commands import COMMANDS, GLOBAL_OPTIONS
from libct.cli.options import UsageError, parse

from ..commands import CHECKOUT

if TYPE_CHECKING:
    from pathlib import Path

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
# libct, called by its name, by Python, or as a file.
_CALL = re.compile(r"(?:^|\s)(?:python3?(?: -\S+)* )?(?:\S*/)?(?:libct(?:\.pyz)?|__main__\.py) ")
# What else a shell does on a line: comments, what another command does, redirections.
_SHELL = re.compile(r"\s(?:#|\|\||&&|\|) .*|<<.*| [<>]\S+")


def lines_of(page: Path) -> list[str]:
    """What is typed, by the page: indented lines and those between fences, joined."""
    typed, inside, held = [], False, ""
    for line in page.read_text().splitlines():
        if line.startswith("```"):
            inside = not inside
        elif inside or line.startswith("    "):
            held += line.strip()
            if held.endswith("\\"):
                held = held[:-1]
            else:
                typed.append(held)
                held = ""
    return typed


def words_of(line: str) -> list[str]:
    """The words after the call of libct on a line, or none."""
    found = _CALL.search(line)
    if found is None or line.startswith(("#", "[", '"', "podman", "docker", "cp ")):
        return []
    text = _SHELL.sub("", re.sub(r"\$\(.*?\)|\[[^]]*\]", "X", line[found.end() :]))
    try:
        words = shlex.split(text)
    except ValueError:  # of quotes that another line closes
        return []
    return words if words and re.fullmatch("[a-z-]+", words[0]) and "..." not in words else []


CALLS = sorted(
    {(page.name, " ".join(words_of(line))) for page in PAGES for line in lines_of(page)}
    - {(page.name, "") for page in PAGES}
)


@pytest.mark.parametrize(("page", "line"), CALLS)
def test_a_command_line_is_one_of_libcts(page: str, line: str) -> None:
    try:
        parse(line.split(), GLOBAL_OPTIONS, COMMANDS)
    except UsageError as error:
        pytest.fail(f"{page}: {line}: {error}")


def test_command_lines_are_found() -> None:
    assert len(CALLS) > 30
    assert {page for page, _ in CALLS} >= {"README.md", "sandbox.md", "commands.md", "cgroups.md"}
    assert words_of("python3 -m libct run -b B ID  # runs it") == ["run", "-b", "B", "ID"]
    assert words_of("./libct.pyz sandbox -- true || echo no") == ["sandbox", "--", "true"]
    assert words_of("libct completion zsh >/x") == ["completion", "zsh"]
    assert words_of("exec python3 -I -S /opt/libct/libct/__main__.py check") == ["check"]
