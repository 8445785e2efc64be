"""docs/levels: the index has every level, and each is a page that needs nothing but libct."""

from __future__ import annotations

import ast
import re
import sys

import pytest

from ..levels import LEVELS, SOLUTIONS, file_of

PAGE = (LEVELS / "README.md").read_text()
ALL = range(1, 11)
LONGEST = 110  # lines

# What comes with Python 3.10 and newer is in sys.stdlib_module_names; these are what levels use.
STANDARD = {"os", "pathlib", "shutil", "signal", "socket", "stat", "time"}


def rows(heading: str) -> list[list[str]]:
    table = PAGE.partition(heading)[2].partition("\n\n")[0].splitlines()
    return [
        [cell.strip() for cell in row.strip("|").split("|")] for row in table if "---" not in row
    ]


def names(level: int) -> dict[str, ast.stmt]:
    """What a level defines at its top, by name."""
    found: dict[str, ast.stmt] = {}
    for node in ast.parse(file_of(level).read_text()).body:
        if isinstance(node, ast.FunctionDef):
            found[node.name] = node
        elif isinstance(node, ast.Assign):
            found.update({one.id: node for one in node.targets if isinstance(one, ast.Name)})
    return found


def test_the_index_has_every_level_and_no_other() -> None:
    listed = [row[0] for row in rows("| Known from |\n")]
    there = sorted(path.name for path in LEVELS.glob("[0-9]*.py"))
    assert listed == [f"[{int(name[:2])}]({name})" for name in there]
    assert len(there) == len(ALL)
    assert sorted(path.name for path in LEVELS.glob("*.py")) == [*there, "lesson.py"]
    assert [row[0] for row in rows("| Level | Exercise |\n")] == [str(level) for level in ALL]
    assert f"({LEVELS.name}/README.md)" in (LEVELS.parent / "index.md").read_text()


@pytest.mark.parametrize("level", ALL)
def test_a_level_is_a_page(level: int) -> None:
    text = file_of(level).read_text()
    assert len(text.splitlines()) <= LONGEST
    documented = ast.get_docstring(ast.parse(text)) or ""
    assert documented.startswith(f"Level {level}: ")
    for heading in ("New: ", "To read: ", "Attack: ", "Runs as: "):
        assert f"\n{heading}" in documented
    assert {"enter", "attack", "exercise", "NAMESPACES", "ROOT_FOR"} <= names(level).keys()
    assert {"check", "check_on_host"} & names(level).keys()


@pytest.mark.parametrize("level", ALL)
def test_a_level_imports_libct_and_the_standard_library_alone(level: int) -> None:
    tree = ast.parse(file_of(level).read_text())
    imported = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    assert "libct" in imported
    assert imported <= {"lesson", "libct", *STANDARD}
    known = getattr(sys, "stdlib_module_names", STANDARD)
    assert known >= STANDARD


@pytest.mark.parametrize("level", ALL)
def test_what_is_new_is_marked(level: int) -> None:
    """So a student finds it: "# new", in what is done; the first level is all new."""
    node = names(level)
    marked = re.findall(r"# new|New: what", file_of(level).read_text())
    assert marked or level == 1
    for name in ("attack", "exercise"):
        function = node[name]
        assert isinstance(function, ast.FunctionDef)
        first = (ast.get_docstring(function) or "").splitlines()[0]
        assert 0 < len(first) <= 100


@pytest.mark.parametrize("level", ALL)
def test_an_exercise_is_open_and_has_a_solution(level: int) -> None:
    function = names(level)["exercise"]
    assert isinstance(function, ast.FunctionDef)
    assert len(function.body) == 1  # the docstring
    solved = ast.parse((SOLUTIONS / f"level{level:02}.py").read_text()).body
    (solution,) = [node for node in solved if isinstance(node, ast.FunctionDef)]
    assert [one.arg for one in solution.args.args] == [one.arg for one in function.args.args]
