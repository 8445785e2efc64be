"""Single edits that take a check, an order, a clean-up or a wait out (tests/mutants.py)."""

from __future__ import annotations

from typing import NamedTuple


class Mutant(NamedTuple):
    """One edit, and the tests of which one at least is to fail with it.

    claim: what is not true any more, as docs/security.md or a comment claims it.
    file: from the package on, "bootstrap/door.py".
    old: what stands there, exactly once; whole lines or a part of one.
    new: what replaces it.
    tests: names as pytest takes them, "tests/unit/test_plan.py::test_x".
    """

    claim: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]
