"""Access to devices, trees of threads, and the end of all in a group."""

from __future__ import annotations

from . import Mutant

_STEPS = "tests/unit/test_cgroups_steps.py::"
_THREADED = "tests/kernel/test_cgroups_threaded.py::"

_THREADS = [
    Mutant(
        "each level among threads is made threaded",
        "cgroups/controllers.py",
        "        _make_threaded(level, needed)\n",
        "    _make_threaded(level, needed)\n",
        (_THREADED + "test_each_level_becomes_threaded",),
    ),
    Mutant(
        "a limit that threads cannot have is refused",
        "cgroups/controllers.py",
        "    if whole:\n",
        "    if False:\n",
        (_STEPS + "test_what_cannot_limit_threads_is_refused_among_them",),
    ),
    Mutant(
        "beside processes nothing is enabled that is not needed",
        "cgroups/controllers.py",
        "        if problem.errno == errno.EBUSY and controller not in needed:\n",
        "        if False:\n",
        (_STEPS + "test_beside_processes_only_what_is_needed_is_enabled",),
    ),
    Mutant(
        "what was enabled for a start that is refused is enabled no more",
        "cgroups/controllers.py",
        "for level, controller in reversed(enabled):",
        "for level, controller in ():",
        (_STEPS + "test_what_cannot_limit_threads_is_refused_among_them",),
    ),
    Mutant(
        "what was enabled before stays so",
        "cgroups/controllers.py",
        "wanted = [controller for controller in offered if controller not in before]",
        "wanted = list(offered)",
        (_STEPS + "test_what_was_enabled_before_stays_so_after_a_refusal",),
    ),
    Mutant(
        "threads are told as their processes",
        "cgroups/files.py",
        "_process_of(int(word)) for word",
        "int(word) for word",
        (_THREADED + "test_threads_are_told_as_their_processes",),
    ),
]

MUTANTS = [*_THREADS]
