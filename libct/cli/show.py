"""A plan, as text for people and as JSON for programs."""

from __future__ import annotations

import os

from ..errors import printable
from ..loading import jsontext
from .program import output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from ..plan.step import Plan, Step
    from .where import Places

_TITLE_WIDTH = 64  # of titles that still get their place on the same line


def show_plan(plan: Plan, *, json: bool, places: Places | None = None) -> None:
    output(plan_as_json(plan, places) if json else plan_as_text(plan, places))


def plan_as_text(plan: Plan, places: Places | None = None) -> str:
    """The steps with their numbers and system calls, below the process and phase they belong to.

    A step's place in the configuration stands on its line, at the right; places:
    of the steps in the code (where.py).
    """
    steps = [
        (number, step, printable(step.title), [printable(call) for call in step.calls])
        for number, step in enumerate(plan, 1)
    ]
    digits = len(str(len(plan)))
    width = max((len(title) for _, _, title, _ in steps if len(title) <= _TITLE_WIDTH), default=1)
    text, heading = "", ""
    for number, step, title, calls in steps:
        if heading != f"{step.process}: {step.phase}":
            heading = f"{step.process}: {step.phase}"
            text += "\n" * bool(text) + heading + "\n"
        text += f"  {number:{digits}}  {title:{width}}  {printable(step.why)}".rstrip() + "\n"
        if places is not None:
            for word, place in zip(("planned", "performed"), places[number - 1]):
                text += f"  {'':{digits}}    {word + ':':10} {printable(place)}\n"
        text += "".join(f"  {'':{digits}}    {call}\n" for call in calls)
        text += "".join(f"  {'':{digits}}    {line}\n" for line in _program(step))
    return text


def plan_as_json(plan: Plan, places: Places | None = None) -> str:
    """A list of objects, in order; one that loads a device program has its instructions."""
    steps = [
        {
            "number": number,
            "process": step.process,
            "phase": step.phase,
            "op": step.op,
            "args": _plain(step.args),
            "title": step.title,
            "calls": step.calls,
            "place": step.why,
            **(dict(zip(("planned", "performed"), places[number - 1])) if places else {}),
            **({"program": program} if (program := _program(step)) else {}),
        }
        for number, step in enumerate(plan, 1)
    ]
    return jsontext.dumps(steps, indent=2) + "\n"


def _program(step: Step) -> list[str]:
    """The instructions that a step loads which controls devices on cgroup v2."""
    from ..plan.cgroups import cgroup_devices_v2

    if step.op != cgroup_devices_v2.name:
        return []
    from ..cgroups.devices.program import needed_program

    _, default, exceptions, *_ = step.args
    program = needed_program(default, exceptions)
    if program is None:
        return []
    from ..cgroups.devices.disassembler import disassemble

    return disassemble(program)


def _plain(value: Any) -> Any:
    """Tuples become lists, and bytes texts."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return os.fsdecode(value) if isinstance(value, bytes) else value
