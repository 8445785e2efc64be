"""Mutants of how a plan is shown, and of what ties it to the code."""

from __future__ import annotations

from . import Mutant

_WHERE = "tests/unit/test_cli_where.py::"

MUTANTS = [
    Mutant(
        "an editor is led to the module that performs",
        "plan/masks.py",
        "    from ..rootfs import masks\n",
        "    from ..rootfs import mounts as masks\n",
        ("tests/unit/test_operations.py::test_an_editor_finds_the_module_that_performs",),
    ),
    Mutant(
        "plan --where leaves no profiler behind",
        "cli/where.py",
        "        sys.setprofile(before)\n",
        "        pass\n",
        (_WHERE + "test_the_profiler_is_as_before_when_planning_fails",),
    ),
    Mutant(
        "a step's place is where it was made",
        "cli/where.py",
        "frame.f_back.f_lineno)",
        "frame.f_lineno)",
        (_WHERE + "test_each_step_says_where_it_is_planned_and_performed",),
    ),
]
