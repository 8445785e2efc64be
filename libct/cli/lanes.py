"""A plan, or what a trace has of it, as lanes: a lane for each process, and hand-overs between.

What the pages (page.py) and the trace events (chrome.py) are both made of.
"""

from __future__ import annotations

from ..plan.processes import AHEAD, MEANWHILE, RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.step import Plan, Step

    Traces = list[tuple[int, int, int, str]]


class Bar:
    """A step in its lane.

    start, duration: in nanoseconds, from the first step's start; by the plan alone each step
        has the same duration, 1, and starts where the one before ends.
    result: "ok", or what went wrong; "" by the plan alone.
    aside: it is done by its process while the others go on.
    """

    __slots__ = ("aside", "duration", "lane", "number", "result", "start", "step")

    def __init__(
        self, number: int, step: Step, lane: str, start: int, duration: int, result: str
    ) -> None:
        self.number, self.step, self.lane = number, step, lane
        self.start, self.duration, self.result = start, duration, result
        self.aside = step.process in (MEANWHILE, AHEAD)

    @property
    def end(self) -> int:
        return self.start + self.duration


class HandOver:
    """Where one process goes on for another, which it may have cloned for that."""

    __slots__ = ("after", "before", "cloned")

    def __init__(self, after: Bar, before: Bar) -> None:
        self.after, self.before = after, before
        self.cloned = after.step.op.startswith("clone_")


def lane_of(step: Step) -> str:
    """The process, whatever else it does at that time."""
    return RUNTIME if step.process in (MEANWHILE, AHEAD) else step.process


def bars(plan: Plan, traces: Traces | None = None) -> list[Bar]:
    """The steps of a plan, or those of them that a trace has, in its order."""
    if traces is None:
        return [
            Bar(number, step, lane_of(step), number - 1, 1, "")
            for number, step in enumerate(plan, 1)
        ]
    first = min((start for _, start, _, _ in traces), default=0)
    found = []
    for number, start, duration, result in sorted(traces):
        step = plan.steps[number - 1]
        found.append(Bar(number, step, lane_of(step), start - first, duration, result))
    return found


def lanes(shown: list[Bar]) -> list[str]:
    """The processes, each where it comes first."""
    return list(dict.fromkeys(bar.lane for bar in shown))


def hand_overs(shown: list[Bar]) -> list[HandOver]:
    """In the plan's order; what is done aside is nobody's turn."""
    turns = [bar for bar in shown if not bar.aside]
    return [HandOver(one, other) for one, other in zip(turns, turns[1:]) if one.lane != other.lane]
