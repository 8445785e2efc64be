"""The steps of resctrl: a container's class of service, and a group that it is monitored in.

The first process goes into both before it goes on; all that it starts is born into them.
Sources: config-linux.md, IntelRdt; the kernel's filesystems/resctrl.
"""

from __future__ import annotations

from .calls import quote
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.attributes import IntelRdt
    from ..resctrl import groups
else:
    groups = Performers("resctrl.groups")

PLACE = "linux.intelRdt"


def resctrl_directories(rdt: IntelRdt, container_id: str, mount: str) -> tuple[str, str]:
    """The directories of the class and of the monitoring group; "" for no such group.

    mount: where resctrl is mounted.
    """
    name = rdt.clos_id.strip("/") if rdt.clos_id else container_id
    group = f"{mount}/{name}" if name else mount
    return group, f"{group}/mon_groups/{container_id}" if rdt.enable_monitoring else ""


def resctrl_steps(rdt: IntelRdt, container_id: str, mount: str) -> tuple[list[Step], list[Step]]:
    """Two lists, of the runtime: before there is a process, and when there is."""
    group, monitored = resctrl_directories(rdt, container_id, mount)
    lines = [line for line in (rdt.l3_cache_schema, rdt.mem_bw_schema) if line] + rdt.schemata
    before, after = [], []
    if group != mount:
        # With nothing to be written to it, it is one that an administrator has made.  One
        # with a name may be other containers', too, and stays.
        place = f"{PLACE}.closID" if rdt.clos_id else PLACE
        make = bool(lines) or not rdt.clos_id
        before.append(resctrl_group(group, int(make), int(not rdt.clos_id), why=place))
    if lines:
        before.append(resctrl_schemata(group, tuple(lines), why=PLACE))
    after.append(resctrl_enter(group, why=PLACE))
    if monitored:
        place = f"{PLACE}.enableMonitoring"
        before.append(resctrl_group(monitored, 1, 1, why=place))
        after.append(resctrl_enter(monitored, why=place))
    return before, after


@operation(groups.resctrl_group, "make the resctrl group {0}")
def resctrl_group(directory: str, make: int, own: int) -> list[str]:
    if not make:
        return [f"stat({quote(directory)})"]
    return [f"mkdir({quote(directory)}, 0755)"]


@operation(groups.resctrl_schemata, "write the schemata of {0}")
def resctrl_schemata(directory: str, lines: tuple[str, ...]) -> list[str]:
    text = "".join(f"{line}\n" for line in lines)
    return [f"openat({quote(f'{directory}/schemata')}, O_WRONLY)", f"write({quote(text)})"]


@operation(groups.resctrl_enter, "put the process into {0}")
def resctrl_enter(directory: str) -> list[str]:
    return [f"openat({quote(f'{directory}/tasks')}, O_WRONLY)"]
