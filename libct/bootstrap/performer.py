"""Performing steps, on either side of the channel."""

from __future__ import annotations

import os
import time

from ..errors import StepProblem
from ..plan.step import OPERATIONS, RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from .channel import Channel
    from .context import Context

# (process, [(number, operation, arguments)]): Plan.segments()
Segment = tuple  # type: ignore[type-arg]  # a name for readers; subscripts cost an import


class Failure(Exception):
    """What is known of a failed step; it crosses the channel as plain values."""

    def __init__(
        self, number: int, errno: int | None, text: str, path: str | None, hint: str = ""
    ) -> None:
        super().__init__(text)
        self.number, self.errno, self.text, self.path, self.hint = number, errno, text, path, hint

    def values(self) -> tuple[Any, ...]:
        return (self.number, self.errno, self.text, self.path, self.hint)


class Trace:
    """Records of performed steps: (number, start in ns of the monotonic clock, ns, result)."""

    __slots__ = ("on", "records")

    def __init__(self, on: bool) -> None:
        self.on = on
        self.records: list[tuple[int, int, int, str]] = []

    def take(self) -> list[tuple[int, int, int, str]]:
        records, self.records = self.records, []
        return records


def perform(steps: list[Any], context: Context, trace: Trace) -> None:
    """Perform steps [(number, operation, arguments)] in order; Failure at the first that fails."""
    for number, op, args in steps:
        start = time.monotonic_ns() if trace.on else 0
        result = "ok"
        try:
            OPERATIONS[op].perform(context, *args)
        except BaseException as error:
            failure = _failure(number, error)
            result = failure.text
            raise failure from error
        finally:
            if trace.on:
                trace.records.append((number, start, time.monotonic_ns() - start, result))


def _failure(number: int, error: BaseException) -> Failure:
    if isinstance(error, OSError):
        path = error.filename
        if isinstance(path, bytes):
            path = os.fsdecode(path)
        elif not isinstance(path, str):
            path = None
        hint = getattr(error, "hint", "")
        return Failure(number, error.errno, error.strerror or str(error), path, hint)
    if isinstance(error, StepProblem):
        return Failure(number, None, error.message, None, error.hint)
    # A mistake of libct's own, or no memory: say which, no traceback can travel.
    return Failure(number, None, f"{type(error).__name__}: {error}", None)


def carry_on(segments: list[Any], context: Context, channel: Channel, trace: Trace) -> None:
    """Perform segments, from the server's on; who is cloned goes on where its cloner leaves.

    Where the runtime's turn is, tell it and wait.  Returns in the process that
    has cloned the one to go on, which is then the server's or the stage's cue
    to leave; does not return in the process that becomes the command.
    """
    for process, steps in segments:
        if process == RUNTIME:
            channel.send(("turn", trace.take()))
            channel.receive()
            continue
        context.values["channel"], context.values["trace"] = channel, trace
        perform(steps, context, trace)
        if "cloned" in context.values:
            pid, pidfd = context.values.pop("cloned")
            if pid:
                channel.send(("cloned", pid), [pidfd])
                os.close(pidfd)
                return
