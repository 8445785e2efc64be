"""libct plan: what the start of a container would do."""

from __future__ import annotations

from ..life.creating import plan
from .create import load_bundle
from .show import show_plan

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .options import Arguments


def main(arguments: Arguments) -> int:
    container_id = arguments.operands[0] if arguments.operands else "container"
    config, process = load_bundle(arguments, container_id)
    made = plan(config, process, id=container_id, hold=not arguments.run)
    show_plan(made, json=arguments.json)
    return 0
