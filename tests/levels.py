"""docs/levels, for tests: copies of the ladder, with exercises solved or a line taken out."""

from __future__ import annotations

import ast
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from .commands import CHECKOUT, run, session_directory, user_checkout, user_python
from .names import unique

if TYPE_CHECKING:
    import subprocess

LEVELS = CHECKOUT / "docs/levels"
SOLUTIONS = CHECKOUT / "tests/level_solutions"


def file_of(level: int, ladder: Path = LEVELS) -> Path:
    (path,) = ladder.glob(f"{level:02}-*.py")
    return path


def copy_of_the_levels() -> Path:
    """Their directory, in a place that the ordinary user may read, beside a libct."""
    top = session_directory() / unique("levels")
    (top / "docs").mkdir(parents=True)
    shutil.copytree(
        LEVELS, top / "docs/levels", ignore=shutil.ignore_patterns("__pycache__", "*.md")
    )
    (top / "libct").symlink_to(user_checkout() / "libct")
    return top / "docs/levels"


def run_level(
    level: int, what: str = "", *, ladder: Path = LEVELS, user: bool = False, typed: str = ""
) -> subprocess.CompletedProcess[str]:
    """Run a level as a student does; typed: into its shell."""
    python = user_python() if user else sys.executable
    words = [what] if what else []
    env = {"PYTHONDONTWRITEBYTECODE": "1"}
    return run([python, file_of(level, ladder), *words], user=user, env=env, input=typed)


def solution(level: int) -> str:
    return (SOLUTIONS / f"level{level:02}.py").read_text()


def solve(ladder: Path, level: int, text: str) -> None:
    """Put text, imports and an exercise(), in the place of the level's exercise()."""
    path = file_of(level, ladder)
    lines = path.read_text().splitlines()
    (stub,) = [
        node
        for node in ast.parse(path.read_text()).body
        if isinstance(node, ast.FunctionDef) and node.name == "exercise"
    ]
    lines[stub.lineno - 1 : stub.end_lineno] = text.splitlines()
    path.write_text("\n".join(lines) + "\n")


def change(ladder: Path, level: int, before: str, after: str) -> None:
    path = file_of(level, ladder)
    text = path.read_text()
    assert text.count(before) == 1, f"{path.name} has {before!r} {text.count(before)} times"
    path.write_text(text.replace(before, after))
