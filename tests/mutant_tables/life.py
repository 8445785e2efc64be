"""Mutants of control groups and of the life of a container."""

from __future__ import annotations

from . import Mutant

MUTANTS: list[Mutant] = []

# --- files of a container's state, and of its callers ---

_CALLERS = "tests/kernel/test_cli_callers.py::test_"

_STATE_FILES = [
    Mutant(
        "a pid file's new file is not one that was there",
        "cli/launch.py",
        "            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_CLOEXEC\n",
        "            flags = posix.O_WRONLY | posix.O_CREAT | posix.O_CLOEXEC\n",
        (f"{_CALLERS}the_new_pid_file_is_nobody_elses",),
    ),
    Mutant(
        "nobody can guess the name of a pid file's new file",
        "cli/launch.py",
        '".libct-{posix.urandom(8).hex()}"',
        '".{name}"',
        (f"{_CALLERS}nobody_can_guess_the_name_of_a_new_pid_file",),
    ),
    Mutant(
        "a pid file takes the place of files and links alone",
        "cli/launch.py",
        "            _check_replaceable(name, place, path)\n",
        "",
        ("tests/kernel/test_cli_bad_input.py::test_a_pid_file_that_cannot_be_written",),
    ),
]
MUTANTS += _STATE_FILES
