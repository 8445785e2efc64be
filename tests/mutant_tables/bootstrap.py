"""Mutants of what is done between the server and execve (libct/bootstrap/, libct/syscalls/)."""

from __future__ import annotations

from . import Mutant

_SERVER = "tests/kernel/test_bootstrap_server.py::test_"
_INHERITED = "bootstrap/inherited.py"


def _uncompared(change: str, old: str, new: str = "") -> Mutant:
    """A server is used on after this change of its owner."""
    test = f"{_SERVER}it_is_replaced_when_its_owner_becomes_another[{change}]"
    return Mutant(f"a server is its owner's: {change}", _INHERITED, old, new, (test,))


MUTANTS = [
    Mutant(
        "the environment does not choose the interpreter of a command line",
        "cli/__init__.py",
        "        _name_interpreter()\n",
        "        pass\n",
        ("tests/kernel/test_cli.py::test_the_environment_chooses_no_interpreter",),
    ),
    Mutant(
        "the server has no variable that it does not need",
        "bootstrap/servers.py",
        " if libraries else {},\n",
        ",\n",
        (f"{_SERVER}it_holds_nothing_of_its_owner",),
    ),
    Mutant(
        "an interpreter that finds its library by $ORIGIN finds it when it is sealed",
        "bootstrap/servers.py",
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
    _uncompared("unshare", '    "uts",\n'),
    _uncompared("securebits", "    (27, 0),  # PR_GET_SECUREBITS\n"),
    _uncompared("timer slack", "    (30, 0),  # PR_GET_TIMERSLACK\n"),
    _uncompared("machine checks", "    (34, 0),  # PR_MCE_KILL_GET\n"),
    _uncompared("personality", "core_cookie(), personality()]", "core_cookie()]"),
    _uncompared("scheduling", ", bytes(sched_getattr())]", "]"),
    _uncompared("session keyring", "_tried(keyctl_get_keyring_id, KEY_SPEC_SESSION_KEYRING), "),
    _uncompared("memory policy", ", _tried(get_mempolicy)]", "]"),
    _uncompared("I/O priority", "    found.append(_tried(ioprio_get, IOPRIO_WHO_PROCESS, 0))\n"),
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
    Mutant(
        "a clone has nothing left to import by",
        "bootstrap/door.py",
        "    sys.meta_path.clear()\n",
        "    pass\n",
        ("tests/kernel/test_bootstrap_invariants.py",),
    ),
]
