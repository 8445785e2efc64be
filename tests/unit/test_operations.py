"""What is declared in libct.plan, what performs it, and what either side loads for that."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from libct.bootstrap.failure import Failure
from libct.bootstrap.performer import find, performers
from libct.plan.step import Operation
from tests.operations import PACKAGE, declared

DECLARED = declared()
# Tables, and no ctypes.
TABLES = {
    "libct.syscalls",
    "libct.syscalls.constants",
    "libct.syscalls.flags",
    "libct.syscalls.landlock_constants",
}


def test_all_are_looked_at() -> None:
    declarations = [
        function.name
        for file in (PACKAGE / "plan").glob("*.py")
        for function in ast.parse(file.read_text()).body
        if isinstance(function, ast.FunctionDef)
        and any("operation(" in ast.unparse(one) for one in function.decorator_list)
    ]
    assert sorted(declarations) == sorted(DECLARED)
    assert len(declarations) > 50


@pytest.mark.parametrize("made", DECLARED.values(), ids=DECLARED)
def test_an_operation_has_a_performer_that_takes_its_arguments(made: Operation) -> None:
    performer = find(made.performer)
    assert inspect.isfunction(performer)
    assert performer.__module__ == "libct." + made.performer.rpartition(".")[0]
    assert performer.__name__ == made.name
    context, *arguments = signature(performer)
    assert context == ("context", inspect.Parameter.empty, "Context")
    assert arguments == signature(made.calls)


def test_an_editor_finds_the_module_that_performs() -> None:
    """Type checkers take a module where the plan has its name (Performers): both are the same."""
    count = 0
    for file in (PACKAGE / "plan").glob("*.py"):
        named, imported = {}, {}
        for block in ast.parse(file.read_text()).body:
            if not isinstance(block, ast.If) or ast.unparse(block.test) != "TYPE_CHECKING":
                continue
            for node in block.body:
                if isinstance(node, ast.ImportFrom) and node.level == 2:
                    for alias in node.names:
                        name = alias.asname or alias.name
                        imported[name] = f"Performers('{node.module}.{alias.name}')"
            for node in block.orelse:
                assert isinstance(node, ast.Assign), file
                named[ast.unparse(node.targets[0])] = ast.unparse(node.value)
        assert named == {name: imported.get(name) for name in named}, file
        count += len(named)
    assert count > 40


def signature(function: Any) -> list[tuple[str, Any, str]]:
    """Name, default and annotation of each parameter."""
    parameters = inspect.signature(function).parameters.values()
    return [(one.name, one.default, one.annotation) for one in parameters]


def test_performers_that_cannot_be_found_fail_their_step() -> None:
    good = (1, "rootfs.masks.mask", ("/x",))
    ((number, function, args),) = performers([good])
    assert (number, args) == (1, ("/x",))
    assert function is importlib.import_module("libct.rootfs.masks").mask
    for name, problem in (
        ("rootfs.nowhere.mask", "ModuleNotFoundError: No module named 'libct.rootfs.nowhere'"),
        ("rootfs.masks.nothing", "AttributeError: module 'libct.rootfs.masks' has no attribute"),
    ):
        with pytest.raises(Failure) as caught:
            performers([good, (2, name, ())])
        assert caught.value.number == 2
        assert caught.value.problem.startswith(problem)


# --- what is loaded ------------------------------------------------------------------------


def loaded(program: str) -> set[str]:
    """The modules that a fresh interpreter has after this program."""
    code = (
        f"import sys; sys.path.append({str(PACKAGE.parent)!r})\n{program}\n"
        "print('[' + ','.join(f'\"{name}\"' for name in sys.modules) + ']')"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    found: list[str] = json.loads(done.stdout)
    return set(found)


def test_planning_loads_no_system_calls_and_no_performers() -> None:
    found = loaded("import libct.plan.container, libct.plan.cgroups")
    assert {name for name in found if name.startswith("libct.syscalls")} <= TABLES
    assert not {name for name in found if "ctypes" in name}
    rooms = {made.performer.rpartition(".")[0] for made in DECLARED.values()}
    assert found & {f"libct.{room}" for room in rooms} == set()


PERFORMING = """
from libct.bootstrap import server
from libct.bootstrap.performer import find
""" + "\n".join(f"find({made.performer!r})" for made in DECLARED.values())


def test_performing_loads_no_planners() -> None:
    found = loaded(PERFORMING)
    assert {name for name in found if name.startswith("libct.plan")} == {
        "libct.plan",
        "libct.plan.processes",
    }


def test_who_is_cloned_is_left_nothing_to_import() -> None:
    """All imports of what it may run are at the top of their modules."""
    late = []
    ours = {name for name in loaded(PERFORMING) if name.startswith("libct.")}
    assert {f"libct.{made.performer.rpartition('.')[0]}" for made in DECLARED.values()} < ours
    for name in ours:
        module = importlib.import_module(name)
        assert module.__file__
        for function in ast.walk(ast.parse(Path(module.__file__).read_text())):
            if isinstance(function, ast.FunctionDef) and any(
                isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(function)
            ):
                late.append(f"{name}.{function.name}")
    # What help() asks records for, and what the runtime does alone (bootstrap/functions.py):
    # neither is run in there.
    elsewhere = {
        *("libct.config.record.__signature__", "libct.config.record.__doc__"),
        "libct.config.__getattr__",  # performers name no record
        *("libct.loading.jsontext.dumps", "libct.loading.jsontext._loads_slowly"),
    }
    assert set(late) == elsewhere
