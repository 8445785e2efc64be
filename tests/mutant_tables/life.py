"""Mutants of control groups and of the life of a container."""

from __future__ import annotations

from . import Mutant

_MEMORY = (
    "tests/kernel/test_attacks.py::test_what_enters_where_it_may_be_traced_knows_no_other_container"
)
_EXEC = "tests/kernel/test_exec.py::test_"

MUTANTS = [
    Mutant(
        "what may be traced in a container comes from a server that knows no other",
        "bootstrap/servers.py",
        '        if alone and server.served not in ("", container):\n',
        "        if False:\n",
        (_MEMORY,),
    ),
    Mutant(
        "a server that has been asked for several containers is none of one's",
        "bootstrap/servers.py",
        '        server.served = container if server.served in ("", container) else None\n',
        "        server.served = container\n",
        (_MEMORY,),
    ),
    Mutant(
        "who may trace by the configuration sees no other container",
        "life/starting.py",
        "    if record.tracers or _may_trace(record.config.capabilities):\n",
        "    if record.tracers:\n",
        (f"{_MEMORY}[by its configuration]",),
    ),
    Mutant(
        "a further process that may trace is remembered",
        "life/starting.py",
        "        record.tracers = True\n        held.write(record)\n",
        "        pass\n",
        (f"{_MEMORY}[to a further process]",),
    ),
    Mutant(
        "who joins a pid namespace shows those in it no other container",
        "life/starting.py",
        "            alone=joins and not _has_users(record),\n",
        "            alone=False,\n",
        (f"{_MEMORY}[to a pod's]",),
    ),
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
