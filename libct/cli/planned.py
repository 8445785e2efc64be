"""libct plan: what the start of a container would do."""

from __future__ import annotations

from ..errors import Error
from ..life.creating import plan
from .create import load_bundle
from .program import output
from .show import show_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..plan.step import Plan
    from .options import Arguments


def main(arguments: Arguments) -> int:
    container_id = arguments.operands[0] if arguments.operands else "container"
    config, process = load_bundle(arguments, container_id)

    def make() -> Plan:
        return plan(config, process, id=container_id, hold=not arguments.run)

    if arguments.html:
        _write_page(make(), arguments, container_id)
    elif arguments.source is not None:
        output(performer_of(make(), arguments.source))
    elif arguments.where:
        from .where import plan_with_places

        made, places = plan_with_places(make)
        show_plan(made, json=arguments.json, places=places)
    else:
        show_plan(make(), json=arguments.json)
    return 0


def _write_page(plan: Plan, arguments: Arguments, container_id: str) -> None:
    from .page import page
    from .trace import opened, spec_beside

    text = page(plan, spec=spec_beside(arguments.bundle), title=container_id)
    with open(opened(arguments.html, "page"), "w", encoding="utf-8") as file:
        file.write(text)


def performer_of(plan: Plan, number: int) -> str:
    """The function that performs the step of this number, below what the step is about."""
    from .where import performed, source

    if not 1 <= number <= len(plan):
        raise Error(f"--source: no step {number}: the plan has steps 1 to {len(plan)}")
    step = plan.steps[number - 1]
    return f"# step {number}: {step.title}\n# {performed(step)}\n{source(step)}"
