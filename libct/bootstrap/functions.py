"""Hooks that are functions of the program that uses the library."""

from __future__ import annotations

from ..errors import StepProblem
from ..loading import jsontext
from ..syscalls.interrupts import allowed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .context import Context


def function_hook(
    context: Context, kind: str, name: str, field: str, index: int, state: str
) -> None:
    """Called here and now, in the thread that has called the library.

    context.values["hooks"]: the Hooks that it is in.
    """
    found = jsontext.loads(state.encode(), "state")
    if context.pid:
        found["pid"] = context.pid
    try:
        with allowed():
            getattr(context.values["hooks"], field)[index](found)
    except Exception as error:
        raise StepProblem(f"{type(error).__name__}: {error}") from error
