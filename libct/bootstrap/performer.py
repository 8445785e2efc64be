"""Performing steps, on either side of the talk."""

from __future__ import annotations

import posix
import sys
import time

from ..errors import Error
from ..loading.paths import fsdecode
from ..plan.processes import AHEAD, INIT, MEANWHILE, RUNTIME
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .context import Context, Trace
    from .talk import Speaker

# Whatever the package is called here.
_PACKAGE = __name__.rpartition(".bootstrap.")[0]


def find(performer: str) -> Callable[..., None]:
    """The function that a plan names so ("rootfs.masks.mask"), its module loaded if need be."""
    module, _, name = performer.rpartition(".")
    found: Callable[..., None] = getattr(load(module), name)
    return found


def load(module: str) -> Any:
    """A module of this package, whatever that is called here."""
    name = f"{_PACKAGE}.{module}"
    __import__(name)
    return sys.modules[name]


def performers(steps: list[Any], known: dict[str, Any] | None = None) -> list[Any]:
    """Steps [(number, performer, arguments)], the names of performers replaced by the functions.

    known: those that have been found, and are now.

    All that a step needs is loaded from here on, for a performer imports
    nothing when it is called.  Failure for the first that cannot be loaded.
    """
    found = []
    known = known if known is not None else {}
    for number, performer, args in steps:
        function = known.get(performer)
        if function is None:
            try:
                function = known[performer] = find(performer)
            except Exception as error:
                raise _failure(number, error) from error
        found.append((number, function, args))
    return found


def perform(steps: list[Any], context: Context, trace: Trace) -> None:
    """Perform steps [(number, function, arguments)] in order; Failure at the first that fails."""
    for number, function, args in steps:
        context.step = number
        if trace.on:
            trace.current = (number, time.time_ns())
        result = "ok"
        try:
            result = function(context, *args) or result
        except Exception as error:
            failure = _failure(number, error)
            result = str(failure)
            try:
                raise failure from error
            finally:
                del failure  # its traceback has this frame: nobody collects what goes in circles
        finally:
            if trace.on:
                start = trace.current[1]
                trace.records.append((number, start, time.time_ns() - start, result))


def _failure(number: int, error: Exception) -> Failure:
    hint = getattr(error, "hint", "")
    if isinstance(error, OSError):
        path = error.filename
        if isinstance(path, bytes):
            path = fsdecode(path)
        elif not isinstance(path, str):
            path = None
        text = error.strerror or str(error)
        reason = posix.strerror(error.errno) if error.errno else text
        # "call(arguments): reason", as the bindings have it, or the reason alone.
        call, found, more = text.rpartition(": " + reason)
        return Failure(number, error.errno, call, reason + more if found else text, path, hint)
    if isinstance(error, Error):  # StepProblem, as a rule
        return Failure(number, None, "", str(error), None, hint)
    # A mistake of libct's own, or no memory: say which, no traceback can travel.
    return Failure(number, None, "", f"{type(error).__name__}: {error}")


class _Rest:
    """What is left of a plan: called with context, talk and trace, it is carried on with."""

    __slots__ = ("_segments",)

    def __init__(self, segments: list[Any]) -> None:
        self._segments = segments

    def own(self) -> list[Any]:
        """The steps of who is cloned."""
        return [step for process, steps in self._segments if process == INIT for step in steps]

    def __call__(self, context: Context, talk: Speaker, trace: Trace) -> None:
        carry_on(self._segments, context, talk, trace)


def carry_on(segments: list[Any], context: Context, talk: Speaker, trace: Trace) -> None:
    """Perform segments, from the server's on; who is cloned goes on where its cloner leaves.

    Where the runtime's turn is, tell it and wait.  Returns in the process that
    has cloned the one to go on, which is then the server's or the stage's cue
    to leave; does not return in the process that becomes the command.
    """
    for index, (process, steps) in enumerate(segments):
        if process == MEANWHILE:
            continue
        if process in (RUNTIME, AHEAD):
            if process == RUNTIME:
                talk.tell(("turn", trace.take()))
            talk.await_go()
            continue
        context.values["talk"], context.values["trace"] = talk, trace
        # For who shares our memory (sharing.py).
        context.values["rest"] = _Rest(segments[index + 1 :])
        perform(steps, context, trace)
        if "cloned" in context.values:
            pid, pidfd = context.values.pop("cloned")
            if pid:
                if pidfd >= 0:
                    posix.close(pidfd)
                if "lender" in context.values:
                    context.values["lender"].dismiss()
                if "told" in context.values:  # what it has cloned says nothing itself
                    talk.tell(("cloned", context.values["told"]))
                return
            talk.tell(("cloned", steps[-1][0]))
