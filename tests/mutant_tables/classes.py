"""Mutants of classes of resctrl."""

from __future__ import annotations

from . import Mutant

_KERNEL = "tests/kernel/test_resctrl.py::"

MUTANTS = [
    Mutant(
        "new schemata are not written over by those of the configuration",
        "cli/update.py",
        'line.partition(":")[0].strip() != resource',
        "True",
        (_KERNEL + "test_an_update_of_the_schemata",),
    ),
    Mutant(
        "a new class has all processes",
        "life/classes.py",
        "            if self._is_new:\n                groups.move(self._group, self._processes)\n",
        "",
        (_KERNEL + "test_an_update_makes_a_class_for_one_without",),
    ),
    Mutant(
        "a class has the threads of its processes",
        "resctrl/groups.py",
        'return [int(name) for name in posix.listdir(procfs.path(pid, "task"))]',
        "return [pid]",
        (_KERNEL + "test_threads_go_to_a_class",),
    ),
    Mutant(
        "schemata are set back where the state cannot be written",
        "life/container.py",
        "classes.take_back(error)",
        "pass",
        (_KERNEL + "test_an_update_that_is_refused_changes_nothing",),
    ),
    Mutant(
        "a container stays in its class",
        "life/classes.py",
        "        if getattr(rdt, field) != getattr(before, field):",
        "        if False:",
        (_KERNEL + "test_a_class_is_not_changed_for_another",),
    ),
]
