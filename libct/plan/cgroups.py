"""The operations on control groups; their managers (libct/cgroups/) plan the steps."""

from __future__ import annotations

from .calls import quote
from .step import Performers, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..cgroups import aside, controllers, entry, limiting, steps
    from ..cgroups.devices import apply_v1, apply_v2
else:
    steps = Performers("cgroups.steps")
    aside = Performers("cgroups.aside")
    controllers = Performers("cgroups.controllers")
    limiting = Performers("cgroups.limiting")
    entry = Performers("cgroups.entry")
    apply_v1 = Performers("cgroups.devices.apply_v1")
    apply_v2 = Performers("cgroups.devices.apply_v2")


@operation(steps.cgroup_mkdir, "make the control group {1} in {0}")
def cgroup_mkdir(mount: str, below: str, optional: int) -> list[str]:
    return [f"mkdir({quote(f'{mount}/{below}')}, 0755)"]


@operation(aside.cgroup_step_aside, "move libct itself to a control group below {0}")
def cgroup_step_aside(directory: str) -> list[str]:
    # Its processes, this one and the server, each by a write.
    return [f"openat({quote(f'{directory}/libct.runtime/cgroup.procs')}, O_WRONLY)"]


@operation(
    controllers.cgroup_enable_controllers, "enable the controllers for the control group {1} in {0}"
)
def cgroup_enable_controllers(mount: str, below: str, needed: tuple[str, ...]) -> list[str]:
    return [f"openat({quote(f'{mount}/cgroup.controllers')}, O_RDONLY)"]


@operation(steps.cgroup_chown, "give the control group {0} to user {1}")
def cgroup_chown(directory: str, uid: int, optional: int) -> list[str]:
    return [f"fchown({uid})", f'fchownat("cgroup.procs", {uid}, AT_SYMLINK_NOFOLLOW)']


@operation(limiting.cgroup_write, "write {1} to {0}")
def cgroup_write(path: str, value: str, if_there: int = 0) -> list[str]:
    return [f"openat({quote(path)}, O_WRONLY)"] + [f"write({quote(value)})"] * (not if_there)


@operation(limiting.cgroup_write_group, "set {1[0][0]} and what depends on it in {0}")
def cgroup_write_group(directory: str, settings: tuple[tuple[str, str, int], ...]) -> list[str]:
    return [
        call
        for file, value, if_there in settings
        for call in cgroup_write.calls(f"{directory}/{file}", value, if_there)
    ]


@operation(
    limiting.cgroup_write_first, "write {1[0][1]} to {0}/{1[0][0]}, or {1[1][1]} to {1[1][0]}"
)
def cgroup_write_first(directory: str, choices: tuple[tuple[str, str], ...]) -> list[str]:
    return []  # to which file, it finds out


@operation(limiting.cgroup_cpuset_v1, "set the CPUs and memory nodes of {0}/{1}")
def cgroup_cpuset_v1(
    mount: str, below: str, cpus: str, mems: str, prefix: str, optional: int
) -> list[str]:
    directory = f"{mount}/{below}"
    calls = []
    for file, value in ((f"{prefix}cpus", cpus), (f"{prefix}mems", mems)):
        calls.append(f"openat({quote(f'{directory}/{file}')}, O_WRONLY)")
        if value:
            calls.append(f"write({quote(value)})")
    return calls


@operation(limiting.cgroup_check_memory, "check that {0} uses less memory than {1} bytes")
def cgroup_check_memory(directory: str, limit: int) -> list[str]:
    return [f"openat({quote(f'{directory}/memory.current')}, O_RDONLY)"]


@operation(entry.cgroup_open, "open the control groups for the first process")
def cgroup_open(required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    # By the descriptors of the groups, which have been locked and marked.
    return [f'openat({path}, "tasks", O_WRONLY)' for path in required + optional]


@operation(entry.cgroup_enter, "enter the control groups")
def cgroup_enter(required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    return ['write("0")'] * len(required)


@operation(entry.cgroup_open_directory, "open the control group {0} to clone into")
def cgroup_open_directory(directory: str, optional: int) -> list[str]:
    return [f"openat({directory}, O_PATH|O_DIRECTORY)"]


@operation(entry.cgroup_close, "close the files of the control groups")
def cgroup_close(directories: tuple[str, ...]) -> list[str]:
    return []


@operation(entry.cgroup_join, "put the process into its control groups")
def cgroup_join(required: tuple[str, ...], optional: tuple[str, ...]) -> list[str]:
    return [f"openat({quote(f'{path}/cgroup.procs')}, O_WRONLY)" for path in required + optional]


@operation(apply_v1.cgroup_devices_v1, "{1} access to devices in {0}, with exceptions")
def cgroup_devices_v1(
    directory: str, default: str, exceptions: tuple[str, ...], fresh: int = 0
) -> list[str]:
    allow, deny = (
        f"openat({quote(f'{directory}/devices.{name}')}, O_WRONLY)" for name in ("allow", "deny")
    )
    if not fresh:  # what is written depends on what is there
        return [f"openat({quote(f'{directory}/devices.list')}, O_RDONLY)"]
    first, second = (allow, deny) if default == "allow" else (deny, allow)
    calls = [first, 'write("a")']
    if exceptions:
        calls += [second, *(f"write({quote(text)})" for text in exceptions)]
    return [*calls, f"openat({quote(f'{directory}/devices.list')}, O_RDONLY)"]


@operation(apply_v2.cgroup_devices_v2, "{1} access to devices in {0}, with exceptions")
def cgroup_devices_v2(
    directory: str, default: str, exceptions: tuple[str, ...], optional: int = 0
) -> list[str]:
    calls = [f"openat({quote(directory)}, O_RDONLY|O_DIRECTORY)", "bpf(BPF_PROG_QUERY)"]
    if default != "allow" or exceptions:
        calls += ["bpf(BPF_PROG_LOAD)", "bpf(BPF_PROG_ATTACH)"]
    return calls
