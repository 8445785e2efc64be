"""A trace in the format that Perfetto and Chrome open: trace events, as JSON.

Source: "Trace Event Format", Google; https://ui.perfetto.dev opens such a file.
"""

from __future__ import annotations

from ..loading import jsontext
from .lanes import bars, hand_overs, lanes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..plan.step import Plan
    from .lanes import Traces

_PID = 1  # of the start: a process of libct's is a thread there, so that all lie together


def trace_events(plan: Plan, traces: Traces) -> str:
    """Times are microseconds since the first step."""
    shown = bars(plan, traces)
    threads = {name: number for number, name in enumerate(lanes(shown), 1)}
    events: list[dict[str, Any]] = [_named("process_name", 0, "libct")]
    for name, thread in threads.items():
        events.append(_named("thread_name", thread, name))
        events.append(
            {**_at("M", thread), "name": "thread_sort_index", "args": {"sort_index": thread}}
        )
    for bar in shown:
        step = bar.step
        about = {
            "step": bar.number,
            "op": step.op,
            "place": step.why,
            "performer": step.performer,
            "calls": step.calls,
            "result": bar.result,
        }
        event = {**_at("X", threads[bar.lane], bar.start), "dur": bar.duration / 1000}
        events.append({**event, "name": step.title, "cat": step.phase, "args": about})
    for number, one in enumerate(hand_overs(shown), 1):
        flow = {"name": "clone" if one.cloned else "hand-over", "cat": "talk", "id": number}
        events.append({**_at("s", threads[one.after.lane], one.after.end), **flow})
        # To the step around that time, and not to the next one.
        events.append({**_at("f", threads[one.before.lane], one.before.start), **flow, "bp": "e"})
    return jsontext.dumps({"displayTimeUnit": "ns", "traceEvents": events}) + "\n"


def _at(kind: str, thread: int, nanoseconds: int = 0) -> dict[str, Any]:
    return {"ph": kind, "pid": _PID, "tid": thread, "ts": nanoseconds / 1000}


def _named(what: str, thread: int, name: str) -> dict[str, Any]:
    return {**_at("M", thread), "name": what, "args": {"name": name}}
