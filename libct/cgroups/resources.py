"""What a configuration asks of control groups: limits, device access, a path."""

from __future__ import annotations

from ..errors import CgroupError
from ..loading.paths import join

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config.cgroup import Cgroup, Resources

    # What is wrong, and where: (place in the configuration, message).
    Problem = tuple[str, str]

    # The default, "deny" or "allow", and exceptions like "c 1:3 rwm" (devices.rules).
    DeviceAccess = tuple[str, tuple[str, ...]]

# Fields of Resources that later versions will know, by the place that sets them.
_LATER = {
    "memory_swappiness": "memory.swappiness",
    "oom_kill_disable": "memory.disableOOMKiller",
    "cpu_rt_quota": "cpu.realtimeRuntime",
    "cpu_rt_period": "cpu.realtimePeriod",
    "blkio_weight": "blockIO.weight",
    "blkio_leaf_weight": "blockIO.leafWeight",
    "blkio_weight_device": "blockIO.weightDevice",
    "blkio_throttle_read_bps_device": "blockIO.throttleReadBpsDevice",
    "blkio_throttle_write_bps_device": "blockIO.throttleWriteBpsDevice",
    "blkio_throttle_read_iops_device": "blockIO.throttleReadIOPSDevice",
    "blkio_throttle_write_iops_device": "blockIO.throttleWriteIOPSDevice",
    "hugetlb_limit": "hugepageLimits",
    "net_prio_ifpriomap": "network.priorities",
    "net_cls_classid": "network.classID",
    "rdma": "rdma",
    "unified": "unified",
    "freezer": "freezer",
}

# Which controller of cgroup v1 and v2 a field of Resources needs.
_LIMITS = {
    "memory": ("memory", "memory.limit"),
    "memory_reservation": ("memory", "memory.reservation"),
    "memory_swap": ("memory", "memory.swap"),
    "cpu_shares": ("cpu", "cpu.shares"),
    "cpu_weight": ("cpu", "cpu.shares"),
    "cpu_quota": ("cpu", "cpu.quota"),
    "cpu_burst": ("cpu", "cpu.burst"),
    "cpu_period": ("cpu", "cpu.period"),
    "cpu_idle": ("cpu", "cpu.idle"),
    "cpuset_cpus": ("cpuset", "cpu.cpus"),
    "cpuset_mems": ("cpuset", "cpu.mems"),
    "pids_limit": ("pids", "pids.limit"),
}

PATH_PLACE = "linux.cgroupsPath"

# Of these limits 0 is a value; of the others it asks for nothing.
_CAN_BE_ZERO = ("cpu_burst", "cpu_idle", "pids_limit")


def place(name: str) -> str:
    """Where a configuration sets a limit: place("pids.limit")."""
    return f"linux.resources.{name}"


def refuse(problems: list[Problem]) -> None:
    """Raise CgroupError with all problems, if there are any."""
    if problems:
        raise CgroupError("; ".join(f"{where}: {what}" for where, what in problems))


def unsupported(resources: Resources) -> list[Problem]:
    """Resources that are asked for and not supported yet."""
    found = [name for name in _LATER if getattr(resources, name)]
    if resources.memory_swappiness == 0:
        found.append("memory_swappiness")
    return [(place(_LATER[name]), "not supported yet") for name in found]


def asked_limits(resources: Resources) -> list[tuple[str, str]]:
    """(controller, place) of each limit that is asked for."""
    return [
        (controller, place(where))
        for name, (controller, where) in _LIMITS.items()
        if (value := getattr(resources, name)) or (value == 0 and name in _CAN_BE_ZERO)
    ]


def group_path(cgroup: Cgroup, container_id: str) -> tuple[str, list[Problem]]:
    """The path that the configuration asks for, normalised; absolute or relative."""
    # A name where the caller gives none: what is nobody else's at the top of a hierarchy.
    unnamed = not cgroup.name and not cgroup.parent
    name = f"libct-{container_id}" if unnamed else cgroup.name or container_id
    path = cgroup.path or join(cgroup.parent, name)
    names = [name for name in path.split("/") if name not in ("", ".")]
    problems = []
    if ".." in names:
        problems.append((PATH_PLACE, f"has '..': {path!r}"))
    elif not names:
        problems.append((PATH_PLACE, f"names no group below the root: {path!r}"))
    if "\n" in path or "\0" in path:
        problems.append((PATH_PLACE, f"has a line break or a NUL: {path!r}"))
    return "/" * path.startswith("/") + "/".join(names), problems


def device_access(resources: Resources) -> tuple[DeviceAccess | None, list[Problem]]:
    """The rules of access to devices as the minimal list that says the same.

    Gives ("deny" or "allow", exceptions like "c 1:3 rwm") or None for no
    control, and what is wrong with the rules.  Those that every container has
    (devices.DEFAULT_RULES) are applied after the configuration's, of which
    there may be none: nothing else is allowed then.

    This is the one place that copes with a copy of libct without
    libct.cgroups.devices: it cannot control devices, so rules are refused.
    """
    if resources.skip_devices:
        return None, []
    try:
        from .devices import rules
    except ModuleNotFoundError as error:
        if error.name != f"{__package__}.devices":
            raise
        if not resources.devices:
            return None, []
        what = f"this copy of libct cannot apply device rules: it has no {error.name}"
        return None, [(place("devices"), what)]
    access, problems = rules.resolve(resources.devices)
    return access, [(place(f"devices[{index}]"), what) for index, what in problems]
