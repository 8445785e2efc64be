"""Limits as cgroup v2 has them.

Source: the kernel's admin-guide/cgroup-v2; crun(1), CGROUP v2, for the units.
"""

from __future__ import annotations

from ...config import conversions as convert
from ...config.unified import check_unified
from ..resources import place
from .setting import Setting, huge_pages, rdma

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...config.cgroup import Resources
    from ..resources import Problem

_DEFAULT_PERIOD = 100000  # microseconds, of cpu.max

# Words of io.max.
_THROTTLES = {
    "rbps": ("throttleReadBpsDevice", "blkio_throttle_read_bps_device"),
    "wbps": ("throttleWriteBpsDevice", "blkio_throttle_write_bps_device"),
    "riops": ("throttleReadIOPSDevice", "blkio_throttle_read_iops_device"),
    "wiops": ("throttleWriteIOPSDevice", "blkio_throttle_write_iops_device"),
}

# Of what v1 has, v2 lacks: real-time scheduling, swappiness, disableOOMKiller, leaf weights,
# net_cls and net_prio.  config/rules_cgroup.py warns of what is asked of these.


def settings(resources: Resources) -> list[Setting]:
    """What is to be written, in order."""
    return [
        *_pids(resources),
        *_memory(resources),
        *_weights(resources),
        *_throttles(resources),
        *_cpu(resources),
        *_cpuset(resources),
        *huge_pages(resources, "max"),
        *rdma(resources),
        *_unified(resources),
    ]


def problems(resources: Resources) -> list[Problem]:
    """What is wrong with the limits themselves, whatever the host has."""
    found = []
    try:
        convert.swap_max(resources.memory, resources.memory_swap)
    except ValueError as error:
        found.append((place("memory.swap"), str(error)))
    for file in resources.unified:
        try:
            check_unified(file)
        except ValueError as error:
            found.append((f"{place('unified')}.{file}", str(error)))
    return found


def _pids(resources: Resources) -> list[Setting]:
    if resources.pids_limit is None:
        return []
    most = convert.pids_value(resources.pids_limit)
    return [Setting("pids", "pids.limit", ("pids.max", most))]


def _memory(resources: Resources) -> list[Setting]:
    memory, found, limits = resources.memory, [], []
    try:
        swap = convert.swap_max(memory, resources.memory_swap)
    except ValueError:  # one of problems()
        swap = None
    if swap is not None:
        # A kernel that does not count swap has no file, and does what these two ask for.
        limits.append(("memory.swap.max", convert.v2_limit(swap), int(swap in (-1, 0))))
    if memory:
        limits.append(("memory.max", convert.v2_limit(memory), 0))
    if limits:
        found.append(Setting("memory", "memory.limit" if memory else "memory.swap", *limits))
    if resources.memory_reservation:
        low = convert.v2_limit(resources.memory_reservation)
        found.append(Setting("memory", "memory.reservation", ("memory.low", low)))
    if resources.memory_oom_group is not None:
        whole = ("memory.oom.group", str(int(resources.memory_oom_group)))
        found.append(Setting("memory", "memory_oom_group", whole))
    return found


def _weights(resources: Resources) -> list[Setting]:
    """By the BFQ scheduler, which takes them as they are, or by io.cost."""
    found = []
    if resources.blkio_weight:
        found.append(_weight("blockIO.weight", "", resources.blkio_weight))
    for index, device in enumerate(resources.blkio_weight_device):
        if device.weight:
            name = f"{device.major}:{device.minor} "
            found.append(_weight(f"blockIO.weightDevice[{index}]", name, device.weight))
    return found


def _weight(where: str, device: str, weight: int) -> Setting:
    return Setting(
        "io",
        where,
        ("io.bfq.weight", f"{device}{weight}"),
        ("io.weight", f"{device}{convert.io_weight(weight)}"),
        first=True,
    )


def _throttles(resources: Resources) -> list[Setting]:
    return [
        Setting(
            "io",
            f"blockIO.{key}[{index}]",
            # v1 takes 0 for no limit, and v2 for a mistake.
            ("io.max", f"{at.major}:{at.minor} {word}={at.rate or 'max'}"),
        )
        for word, (key, field) in _THROTTLES.items()
        for index, at in enumerate(getattr(resources, field))
    ]


def _cpu(resources: Resources) -> list[Setting]:
    found = []
    idle = resources.cpu_idle
    if idle is not None:
        found.append(Setting("cpu", "cpu.idle", ("cpu.idle", str(idle))))
    weight = resources.cpu_weight or convert.weight_of_shares(resources.cpu_shares)
    if weight and idle != 1:  # an idle group takes no weight
        found.append(Setting("cpu", "cpu.shares", ("cpu.weight", str(weight))))
    limits, places = [], []
    if resources.cpu_burst is not None:
        limits.append(("cpu.max.burst", str(resources.cpu_burst)))
        places.append("cpu.burst")
    if resources.cpu_quota or resources.cpu_period:
        quota = str(resources.cpu_quota) if resources.cpu_quota > 0 else "max"
        limits.append(("cpu.max", f"{quota} {resources.cpu_period or _DEFAULT_PERIOD}"))
        places += ["cpu.quota"] if resources.cpu_quota else []
        places += ["cpu.period"] if resources.cpu_period else []
    if limits:
        found.append(Setting("cpu", places[0] if len(places) == 1 else "cpu", *limits))
    return found


def _cpuset(resources: Resources) -> list[Setting]:
    return [
        Setting("cpuset", f"cpu.{name}", (f"cpuset.{name}", value))
        for name, value in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems))
        if value
    ]


def _unified(resources: Resources) -> list[Setting]:
    """Files by name, a write for each line: last, as what says most exactly what is meant."""
    found = []
    for file, value in resources.unified.items():
        controller = file.partition(".")[0]
        needed = "" if controller == "cgroup" else controller
        for line in value.strip("\n").split("\n"):
            found.append(Setting(needed, f"unified.{file}", (file, line)))
    return found
