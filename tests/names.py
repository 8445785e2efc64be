"""Names that nothing else on the machine has, and that tell what this run of the tests has made."""

from __future__ import annotations

import functools
import itertools
import os
import uuid

# Every process that descends from the tests and keeps its environment has this: run_mark().
MARK = "LIBCT_TEST_MARK"

_counter = itertools.count(1)


@functools.cache
def run_mark() -> str:
    """A word in all names that this run of the tests gives, in its own and its children's."""
    return os.environ.setdefault(MARK, uuid.uuid4().hex[:8])


def unique(name: str = "") -> str:
    """A container id, or any other name, that nothing else on the machine has."""
    parts = ("libct", name, run_mark(), str(os.getpid()), str(next(_counter)))
    return "-".join(filter(None, parts))
