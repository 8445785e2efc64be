"""Mutants of control groups and of the life of a container."""

from __future__ import annotations

from . import Mutant

_EXEC = "tests/kernel/test_exec.py::test_"

MUTANTS = [
    Mutant(
        "a namespace that the first process has left is not entered",
        "life/starting.py",
        "        if wanted != [at.st_dev, at.st_ino]:\n",
        "        if False:\n",
        (f"{_EXEC}a_namespace_that_the_first_process_has_left",),
    ),
    Mutant(
        "a user's network namespace is not entered where it is not known",
        "life/starting.py",
        " in found or unknown):\n",
        " in found):\n",
        (f"{_EXEC}namespaces_that_a_user_inside_has_made_are_not_entered",),
    ),
    Mutant(
        "a user namespace that is none of the container's is not entered",
        "life/starting.py",
        "        if wanted[1] != ours:\n",
        "        if at.st_ino != ours:\n",
        (f"{_EXEC}a_user_namespace_is_none_of_the_containers",),
    ),
    Mutant(
        "namespaces that are entered late are known of who waits to be started",
        "life/starting.py",
        "        if found:  #",
        "        if False:  #",
        (f"{_EXEC}a_user_namespace_is_none_of_the_containers",),
    ),
    Mutant(
        "namespaces that are entered late are not known too early",
        "life/starting.py",
        " for name in found if name not in late}\n",
        " for name in found}\n",
        (f"{_EXEC}it_is_in_all_namespaces_of_the_first",),
    ),
    Mutant(
        "a namespace that the first process leaves while it is entered is not",
        "bootstrap/namespaces.py",
        '.st_ino != inode:\n            raise StepProblem(f"the first',
        '.st_ino < 0:\n            raise StepProblem(f"the first',
        (f"{_EXEC}a_namespace_that_it_leaves_while_somebody_enters",),
    ),
]
