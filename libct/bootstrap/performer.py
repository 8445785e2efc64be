"""Performing steps, on either side of the talk."""

from __future__ import annotations

import posix
import sys
import time

from ..errors import Error
from ..loading.paths import fsdecode
from ..plan.processes import AHEAD, MEANWHILE, RUNTIME
from .failure import Failure

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from .context import Context
    from .talk import Speaker

# Whatever the package is called here.
_PACKAGE = __name__.rpartition(".bootstrap.")[0]


class Trace:
    """Records of performed steps: (number, start, duration, result).

    start is in ns since the epoch, the duration in ns of the same clock: a time
    namespace has another monotonic one.  The step that goes on is current: its
    number and start.
    """

    __slots__ = ("current", "on", "records")

    def __init__(self, on: bool) -> None:
        self.on = on
        self.current = (0, 0)
        self.records: list[tuple[int, int, int, str]] = []

    def take(self) -> list[tuple[int, int, int, str]]:
        records, self.records = self.records, []
        return records


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


def performers(steps: list[Any]) -> list[Any]:
    """Steps [(number, performer, arguments)], the names of performers replaced by the functions.

    All that a step needs is loaded from here on, for a performer imports
    nothing when it is called.  Failure for the first that cannot be loaded.
    """
    found = []
    for number, performer, args in steps:
        try:
            found.append((number, find(performer), args))
        except Exception as error:
            raise _failure(number, error) from error
    return found


def perform(steps: list[Any], context: Context, trace: Trace) -> None:
    """Perform steps [(number, function, arguments)] in order; Failure at the first that fails."""
    for number, function, args in steps:
        context.step = number
        if trace.on:
            trace.current = (number, time.time_ns())
        result = "ok"
        try:
            function(context, *args)
        except Exception as error:
            failure = _failure(number, error)
            result = str(failure)
            raise failure from error
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


def carry_on(segments: list[Any], context: Context, talk: Speaker, trace: Trace) -> None:
    """Perform segments, from the server's on; who is cloned goes on where its cloner leaves.

    Where the runtime's turn is, tell it and wait.  Returns in the process that
    has cloned the one to go on, which is then the server's or the stage's cue
    to leave; does not return in the process that becomes the command.
    """
    for process, steps in segments:
        if process == MEANWHILE:
            continue
        if process in (RUNTIME, AHEAD):
            if process == RUNTIME:
                talk.tell(("turn", trace.take()))
            talk.await_go()
            continue
        context.values["talk"], context.values["trace"] = talk, trace
        perform(steps, context, trace)
        if "cloned" in context.values:
            pid, pidfd = context.values.pop("cloned")
            if pid:
                if pidfd >= 0:
                    posix.close(pidfd)
                if "lender" in context.values:
                    context.values["lender"].dismiss()
                return
            talk.tell(("cloned", steps[-1][0]))
