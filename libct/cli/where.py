"""Where a plan's steps are in the code: planned at one place, performed at another.

Nothing of this is kept in a plan.  Who asks plans once more, under the interpreter's profiler,
which tells where each step was made.
"""

from __future__ import annotations

import os
import sys

from ..bootstrap.performer import find
from ..plan.step import Operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType
    from typing import Any

    from ..plan.step import Plan, Step

    Places = list[tuple[str, str]]


def plan_with_places(make: Callable[[], Plan]) -> tuple[Plan, Places]:
    """What make() plans and, for each step, where it is planned and where it is performed.

    A place is FILE:LINE, below the current directory where it can be.
    """
    made_at: dict[int, str] = {}
    made = Operation.__call__.__code__

    def note(frame: FrameType, event: str, value: Any) -> None:
        if event == "return" and frame.f_code is made and frame.f_back is not None:
            # A step that is thrown away leaves its id to a later one, which is noted later.
            made_at[id(value)] = _place(frame.f_back.f_globals["__file__"], frame.f_back.f_lineno)

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        plan = make()
    finally:
        sys.setprofile(before)
    return plan, [(made_at[id(step)], performed(step)) for step in plan]


def performed(step: Step) -> str:
    """Where the performer of a step begins."""
    function = find(step.performer)
    file = sys.modules[function.__module__].__file__ or ""
    return _place(file, function.__code__.co_firstlineno)


def source(step: Step) -> str:
    """The performer of a step, as it is written."""
    from inspect import getsource

    return getsource(find(step.performer))


def _place(file: str, line: int) -> str:
    here = os.getcwd().rstrip("/") + "/"
    return f"{file[len(here) :] if file.startswith(here) else file}:{line}"
