"""The operations on units of systemd; their manager (libct/cgroups/systemd/) plans the steps.

A property is (name, signature of D-Bus, value).
"""

from __future__ import annotations

from .calls import quote
from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    Properties = tuple[tuple[str, str, object], ...]
    from ..cgroups.systemd import steps
else:
    steps = Performers("cgroups.systemd.steps")

_NO_LIMIT = (1 << 64) - 1


@operation(steps.systemd_check, "check that systemd can start the unit {0}")
def systemd_check(unit: str, user: int) -> list[str]:
    return [f"GetUnit({quote(unit)})"]


@operation(steps.systemd_start_unit, "have systemd start the unit {0}")
def systemd_start_unit(
    unit: str, user: int, directory: str, scope: int, properties: Properties
) -> list[str]:
    given = [*map(assignment, properties), *(["PIDs=[the process]"] if scope else [])]
    return [f'StartTransientUnit({quote(unit)}, "replace", {", ".join(given)})']


@operation(steps.systemd_group, "take the unit's control group {1} in {0}")
def systemd_group(mount: str, below: str, optional: int) -> list[str]:
    return [f"openat({quote(f'{mount}/{below}')}, O_RDONLY|O_DIRECTORY)"]


@operation(steps.systemd_join, "put the process into the unit's control groups")
def systemd_join(required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    return [f"openat({quote(f'{path}/cgroup.procs')}, O_RDONLY)" for path in required + optional]


@operation(steps.systemd_delegate, "put the process into the control group {1} below {0}")
def systemd_delegate(directory: str, below: str, uid: int | None) -> list[str]:
    return [
        f"mkdir({quote(f'{directory}/{below}')}, 0755)",
        f"openat({quote(f'{directory}/{below}/cgroup.procs')}, O_WRONLY)",
    ]


@operation(steps.systemd_attach, "attach the process to the unit {0}")
def systemd_attach(unit: str, user: int, below: str) -> list[str]:
    return [f"AttachProcessesToUnit({quote(unit)}, {quote(below)}, [the process])"]


@operation(steps.systemd_set_properties, "set properties of the unit {0}")
def systemd_set_properties(unit: str, user: int, properties: Properties) -> list[str]:
    return [f"SetUnitProperties({quote(unit)}, true, {', '.join(map(assignment, properties))})"]


def assignment(one: tuple[str, str, object]) -> str:
    """A property in the words of unit files: CPUWeight=100."""
    name, _, value = one
    return f"{name}={_text(value)}"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.hex(" ")
    if isinstance(value, tuple):
        return f"[{', '.join(map(_text, value))}]"
    if isinstance(value, str):
        return quote(value)
    return "infinity" if value == _NO_LIMIT else str(value)
