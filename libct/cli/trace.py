"""What was performed, step by step, and how long it took: for --trace and for --debug."""

from __future__ import annotations

import os

from ..errors import ConfigError, Error
from ..loading import jsontext
from .log import report
from .options import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..life.container import Container
    from ..plan.step import Plan
    from .options import Arguments


class Tracing:
    """Where the steps of a start are written to, if anywhere; the file is opened early."""

    def __init__(self, arguments: Arguments) -> None:
        self._arguments = arguments
        self._fd = -1
        path = arguments.trace
        if not path:
            if arguments.format:
                raise UsageError("--format: there is no --trace")
            return
        self._fd = opened(path, "trace")

    def write(self, container: Container) -> None:
        """What container has performed, as far as it got."""
        plan = container.plan
        if self._fd >= 0:
            with open(self._fd, "wb") as file:
                if plan is not None:
                    file.write(self._text(plan, container).encode())
        if plan is not None:
            report(self._arguments, "debug", *debug_lines(plan, container.traces))

    def _text(self, plan: Plan, container: Container) -> str:
        by_name = "html" if self._arguments.trace.endswith(".html") else "lines"
        wanted = self._arguments.format or by_name
        if wanted == "chrome":
            from .chrome import trace_events

            return trace_events(plan, container.traces)
        if wanted == "html":
            from .page import page

            return page(
                plan, container.traces, spec=spec_beside(container.bundle), title=container.id
            )
        return lines(plan, container.traces)


def opened(path: str, what: str) -> int:
    """A file to write, as a shell's > opens it."""
    try:
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise Error(f"cannot open the {what} {path!r}: {error.strerror}") from error


def spec_beside(bundle: str) -> Any:
    """The values in the config.json of a bundle; None where it cannot be read, or there is none."""
    from ..oci.bundle import read_spec

    try:
        return read_spec(bundle) if bundle else None
    except ConfigError:
        return None


def debug_lines(plan: Plan, traces: list[tuple[int, int, int, str]]) -> list[str]:
    """The performed steps, for a log."""
    found = []
    for number, _, nanoseconds, result in sorted(traces):
        step = plan.steps[number - 1]
        place = f", from {step.why}" if step.why else ""
        found.append(
            f"step {number} of {len(plan)}, {step.process}: {step.title}{place}:"
            f" {result} ({nanoseconds / 1000:.0f} us)"
        )
    return found


def lines(plan: Plan, traces: list[tuple[int, int, int, str]]) -> str:
    """One JSON object for each performed step, in the plan's order; one that failed is the last.

    start: seconds since the first step's; duration_us: microseconds; result:
    "ok", or what went wrong.
    """
    first = min((start for _, start, _, _ in traces), default=0)
    text = ""
    # What the runtime has done ahead of its turn goes before the step that failed.
    for number, start, nanoseconds, result in sorted(traces, key=_order):
        step = plan.steps[number - 1]
        line = {
            "number": number,
            "process": step.process,
            "phase": step.phase,
            "op": step.op,
            "title": step.title,
            "place": step.why,
            "start": (start - first) / 1_000_000_000,
            "duration_us": nanoseconds / 1000,
            "result": result,
        }
        text += jsontext.dumps(line) + "\n"
    return text


def _order(trace: tuple[int, int, int, str]) -> tuple[bool, int]:
    return not trace[3].startswith("ok"), trace[0]
