"""Limits as cgroup v1 has them.

Source: the kernel's admin-guide/cgroup-v1; Documentation/scheduler/sched-bwc.rst;
REFERENCE.md, 3.2.
"""

from __future__ import annotations

from ...config import conversions as convert
from ..resources import place
from .setting import Setting

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ...config.cgroup import Resources
    from ..resources import Problem

# Limits of cpu.shares: the kernel would take the nearest without a word.
_SHARES = (2, 262144)


def settings(resources: Resources) -> list[Setting]:
    """What is to be written, in order."""
    return [
        *_cpuset(resources),
        *_memory(resources),
        *_cpu(resources),
        *_pids(resources),
    ]


def problems(resources: Resources) -> list[Problem]:
    """What is wrong with the limits themselves, whatever the host has."""
    low, high = _SHARES
    if resources.cpu_shares and not low <= resources.cpu_shares <= high:
        what = f"must be from {low} to {high}, is {resources.cpu_shares}"
        return [(place("cpu.shares"), what)]
    return []


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
        where = limits[-1][2]
        found.append(Setting("cpu", where, *((file, value) for file, value, _ in limits)))
    return found


def _pids(resources: Resources) -> list[Setting]:
    if resources.pids_limit is None:
        return []
    most = convert.pids_value(resources.pids_limit)
    return [Setting("pids", "pids.limit", ("pids.max", most))]
