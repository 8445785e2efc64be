"""Limits as cgroup v1 has them.

Source: the kernel's admin-guide/cgroup-v1; Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

from ...config import conversions as convert
from ..resources import place
from .setting import Setting, huge_pages, rdma

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...config.cgroup import Resources
    from ..resources import Problem

# Limits of cpu.shares: the kernel would take the nearest without a word.
_SHARES = (2, 262144)

_THROTTLES = {
    "blkio.throttle.read_bps_device": ("throttleReadBpsDevice", "blkio_throttle_read_bps_device"),
    "blkio.throttle.write_bps_device": (
        "throttleWriteBpsDevice",
        "blkio_throttle_write_bps_device",
    ),
    "blkio.throttle.read_iops_device": (
        "throttleReadIOPSDevice",
        "blkio_throttle_read_iops_device",
    ),
    "blkio.throttle.write_iops_device": (
        "throttleWriteIOPSDevice",
        "blkio_throttle_write_iops_device",
    ),
}


def settings(resources: Resources) -> list[Setting]:
    """What is to be written, in order."""
    return [
        *_cpuset(resources),
        *_memory(resources),
        *_cpu(resources),
        *_real_time(resources),
        *_pids(resources),
        *_weights(resources),
        *_throttles(resources),
        *huge_pages(resources, "limit_in_bytes"),
        *_network(resources),
        *rdma(resources),
    ]


def problems(resources: Resources) -> list[Problem]:
    """What is wrong with the limits themselves, whatever the host has."""
    low, high = _SHARES
    found = []
    if resources.cpu_shares and not low <= resources.cpu_shares <= high:
        what = f"must be from {low} to {high}, is {resources.cpu_shares}"
        found.append((place("cpu.shares"), what))
    memory, both = resources.memory, resources.memory_swap
    if memory == -1 and both > 0:
        found.append((place("memory.swap"), "memory has no limit, so it and swap have none"))
    elif 0 < both < memory:
        what = f"is less than the limit of memory, {memory}"
        found.append((place("memory.swap"), what))
    return found


def _cpuset(resources: Resources) -> list[Setting]:
    # The second is the name in a hierarchy that is mounted with the option noprefix.
    return [
        Setting("cpuset", f"cpu.{file}", (f"cpuset.{file}", value), (file, value), first=True)
        for file, value in (("cpus", resources.cpuset_cpus), ("mems", resources.cpuset_mems))
        if value
    ]


def _memory(resources: Resources) -> list[Setting]:
    memory, swap = resources.memory, resources.memory_swap
    found = []
    # No limit of memory needs none of memory and swap, which may be an old one.
    both = swap or (-1 if memory == -1 else 0)
    limits = [
        (f"memory.{file}", str(limit), if_there)
        for file, limit, if_there in (
            ("limit_in_bytes", memory, 0),
            ("memsw.limit_in_bytes", both, int(not swap)),
        )
        if limit
    ]
    if limits:
        found.append(Setting("memory", "memory.limit" if memory else "memory.swap", *limits))
    if resources.memory_reservation:
        soft = ("memory.soft_limit_in_bytes", str(resources.memory_reservation))
        found.append(Setting("memory", "memory.reservation", soft))
    if resources.oom_kill_disable:
        found.append(Setting("memory", "memory.disableOOMKiller", ("memory.oom_control", "1")))
    if resources.memory_swappiness is not None:
        swappiness = ("memory.swappiness", str(resources.memory_swappiness))
        found.append(Setting("memory", "memory.swappiness", swappiness))
    return found


def _cpu(resources: Resources) -> list[Setting]:
    found = []
    idle, shares = resources.cpu_idle, resources.cpu_shares
    if idle is not None:
        found.append(Setting("cpu", "cpu.idle", ("cpu.idle", str(idle))))
    if shares and idle != 1:  # an idle group takes no shares
        found.append(Setting("cpu", "cpu.shares", ("cpu.shares", str(shares))))
    limits = [
        (file, str(limit), where)
        for file, limit, where in (
            ("cpu.cfs_period_us", resources.cpu_period or None, "cpu.period"),
            ("cpu.cfs_burst_us", resources.cpu_burst, "cpu.burst"),
            ("cpu.cfs_quota_us", resources.cpu_quota or None, "cpu.quota"),
        )
        if limit is not None
    ]
    if limits:
        where = limits[-1][2] if len(limits) == 1 else "cpu"
        found.append(Setting("cpu", where, *((file, value) for file, value, _ in limits)))
    return found


def _real_time(resources: Resources) -> list[Setting]:
    """In force before there is a process: the kernel lets none with such a policy in without."""
    limits = [
        (file, str(limit), where)
        for file, limit, where in (
            ("cpu.rt_period_us", resources.cpu_rt_period, "cpu.realtimePeriod"),
            ("cpu.rt_runtime_us", resources.cpu_rt_quota, "cpu.realtimeRuntime"),
        )
        if limit
    ]
    if not limits:
        return []
    return [Setting("cpu", limits[-1][2], *((file, value) for file, value, _ in limits))]


def _pids(resources: Resources) -> list[Setting]:
    if resources.pids_limit is None:
        return []
    most = convert.pids_value(resources.pids_limit)
    return [Setting("pids", "pids.limit", ("pids.max", most))]


def _weights(resources: Resources) -> list[Setting]:
    """By the BFQ scheduler, which is what has weights since Linux 5.0, or by its forerunner."""
    found = []
    if resources.blkio_weight:
        found.append(_weight("blockIO.weight", "weight", str(resources.blkio_weight)))
    if resources.blkio_leaf_weight:
        leaf = ("blkio.leaf_weight", str(resources.blkio_leaf_weight))
        found.append(Setting("blkio", "blockIO.leafWeight", leaf))
    for index, device in enumerate(resources.blkio_weight_device):
        where, name = f"blockIO.weightDevice[{index}]", f"{device.major}:{device.minor}"
        if device.weight:
            found.append(_weight(where, "weight_device", f"{name} {device.weight}"))
        if device.leaf_weight:
            leaf = ("blkio.leaf_weight_device", f"{name} {device.leaf_weight}")
            found.append(Setting("blkio", where, leaf))
    return found


def _weight(where: str, name: str, value: str) -> Setting:
    files = ((f"blkio.bfq.{name}", value), (f"blkio.{name}", value))
    return Setting("blkio", where, *files, first=True)


def _throttles(resources: Resources) -> list[Setting]:
    return [
        Setting("blkio", f"blockIO.{key}[{index}]", (file, f"{at.major}:{at.minor} {at.rate}"))
        for file, (key, field) in _THROTTLES.items()
        for index, at in enumerate(getattr(resources, field))
    ]


def _network(resources: Resources) -> list[Setting]:
    found = []
    if resources.net_cls_classid:
        class_id = ("net_cls.classid", str(resources.net_cls_classid))
        found.append(Setting("net_cls", "network.classID", class_id))
    for index, at in enumerate(resources.net_prio_ifpriomap):
        priority = ("net_prio.ifpriomap", f"{at.interface} {at.priority}")
        found.append(Setting("net_prio", f"network.priorities[{index}]", priority))
    return found
