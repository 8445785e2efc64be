"""Mutants of what is done between the server and execve (libct/bootstrap/, libct/syscalls/)."""

from __future__ import annotations

from . import Mutant

MUTANTS = [
    Mutant(
        "a clone has nothing left to import by",
        "bootstrap/door.py",
        "    sys.meta_path.clear()\n",
        "    pass\n",
        ("tests/kernel/test_bootstrap_invariants.py",),
    ),
]
