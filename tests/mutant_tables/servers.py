"""Mutants of what a server inherits, and of who is entered (bootstrap/servers.py, exec)."""

from __future__ import annotations

from . import Mutant

_MEMORY = (
    "tests/kernel/test_attacks.py::test_what_enters_where_it_may_be_traced_knows_no_other_container"
)
_EXEC = "tests/kernel/test_exec.py::test_"

_ENTERING = [
    Mutant(
        "what may be traced in a container comes from a server that knows no other",
        "bootstrap/servers.py",
        '                elif only is None or server.served in ("", only):\n',
        "                elif True:\n",
        (_MEMORY,),
    ),
    Mutant(
        "a server that has been asked for several containers is none of one's",
        "bootstrap/servers.py",
        '        self.served = container if self.served in ("", container) else None\n',
        "        self.served = container\n",
        (_MEMORY,),
    ),
    Mutant(
        "who may trace by the configuration sees no other container",
        "life/starting.py",
        "    if record.tracers or may_trace(record.config.capabilities):\n",
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
        "bootstrap/joining.py",
        '.st_ino != inode:\n        raise StepProblem(f"the first',
        '.st_ino < 0:\n        raise StepProblem(f"the first',
        (f"{_EXEC}a_namespace_that_it_leaves_while_somebody_enters",),
    ),
]

_SERVER = "tests/kernel/test_bootstrap_server.py::test_"
_INHERITED = "bootstrap/inherited.py"


def _uncompared(change: str, old: str, new: str = "") -> Mutant:
    """A server is used on after this change of its owner."""
    test = f"{_SERVER}it_is_replaced_when_its_owner_becomes_another[{change}]"
    return Mutant(f"a server is its owner's: {change}", _INHERITED, old, new, (test,))


_SERVERS = [
    Mutant(
        "the environment does not choose the interpreter of a command line",
        "cli/__init__.py",
        "        _name_interpreter()\n",
        "        pass\n",
        ("tests/kernel/test_cli.py::test_the_environment_chooses_no_interpreter",),
    ),
    Mutant(
        "check looks at the interpreter that is run",
        "cli/check_host.py",
        "real(interpreter())",
        "real(sys.executable)",
        ("tests/kernel/test_cli_check.py::test_the_interpreter_is_the_one_that_is_run",),
    ),
    Mutant(
        "the server has no variable that it does not need",
        "bootstrap/spawning.py",
        " if libraries else {},\n",
        ",\n",
        (f"{_SERVER}it_holds_nothing_of_its_owner",),
    ),
    Mutant(
        "an interpreter that finds its library by $ORIGIN finds it when it is sealed",
        "bootstrap/spawning.py",
        "    libraries = library_path(place)\n",
        '    libraries = ""\n',
        (f"{_SERVER}an_interpreter_that_finds_its_library_by_origin",),
    ),
    _uncompared("real user", '    b"Uid:",\n'),
    _uncompared("real group", '    b"Gid:",\n'),
    _uncompared("groups", '    b"Groups:",\n'),
    _uncompared("capabilities", '    b"Cap",\n'),
    _uncompared("bounding set", '    b"Cap",\n', '    b"CapPrm",\n'),
    _uncompared("ambient set", '    b"Cap",\n', '    b"CapPrm",\n    b"CapBnd",\n'),
    _uncompared("no new privileges", '    b"NoNewPrivs:",\n'),
    _uncompared("affinity", '    b"Cpus_allowed:",\n'),
    _uncompared("huge pages", '    b"THP_enabled:",\n'),
    _uncompared("rlimit", '    "limits",\n'),
    _uncompared("limit of real time", '    "limits",\n'),
    _uncompared("control group", '    "cgroup",\n    "oom', '    "oom'),
    _uncompared("oom score", '    "oom_score_adj",\n'),
    _uncompared("securebits", "    (27, 0),  # PR_GET_SECUREBITS\n"),
    _uncompared("timer slack", "    (30, 0),  # PR_GET_TIMERSLACK\n"),
    _uncompared("machine checks", "    (34, 0),  # PR_MCE_KILL_GET\n"),
    _uncompared("personality", "core_cookie(), personality()]", "core_cookie()]"),
    _uncompared("scheduling", ", bytes(sched_getattr())]", "]"),
    _uncompared("session keyring", "_tried(keyctl_get_keyring_id, KEY_SPEC_SESSION_KEYRING), "),
    _uncompared("memory policy", ", _tried(get_mempolicy)]", "]"),
    _uncompared("I/O priority", "    found.append(_tried(ioprio_get, IOPRIO_WHO_PROCESS, 0))\n"),
    Mutant(
        "the server writes no compiled code where its program is to write none",
        "bootstrap/spawning.py",
        ' *("-B",) * sys.dont_write_bytecode,',
        "",
        ("tests/kernel/test_vendoring.py::test_no_compiled_code_is_written_where_none_is_wanted",),
    ),
    Mutant(
        "a thread's seccomp filters are taken for another's of the same number",
        _INHERITED,
        "        found.append(_own_token())\n",
        "        pass\n",
        (f"{_SERVER}a_thread_with_filters_has_its_own",),
    ),
    Mutant(
        "a thread that adds a seccomp filter gets another server",
        _INHERITED,
        '    b"Seccomp",\n',
        '    b"Seccomp:",\n',
        (f"{_SERVER}a_thread_with_filters_has_its_own",),
    ),
]

MUTANTS = [*_ENTERING, *_SERVERS]
