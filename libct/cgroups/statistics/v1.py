"""Cgroup v1: which file says what.

Sources: the kernel's admin-guide/cgroup-v1 (cpuacct, cpusets, memory,
blkio-controller, hugetlb, pids, rdma); Documentation/scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import os

from . import parse, shared
from .records import (
    BlkioStats,
    BurstData,
    CgroupStats,
    CPUSetStats,
    CPUStats,
    CPUUsage,
    HugetlbStats,
    MemoryData,
    MemoryStats,
    PageStats,
    PageUsage,
    PageUsageByNUMA,
    ThrottlingData,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from .directory import Group

_NANOSECONDS = 10**9

# The fields of CPUSetStats that are one number, each a file of that name.
_CPUSET = (
    "cpu_exclusive",
    "mem_hardwall",
    "mem_exclusive",
    "memory_migrate",
    "memory_spread_page",
    "memory_spread_slab",
    "memory_pressure",
    "sched_load_balance",
    "sched_relax_domain_level",
)

# The fields of BlkioStats, and what the files are called.
_BLKIO = {
    "io_service_bytes_recursive": "io_service_bytes",
    "io_serviced_recursive": "io_serviced",
    "io_queue_recursive": "io_queued",
    "io_service_time_recursive": "io_service_time",
    "io_wait_time_recursive": "io_wait_time",
    "io_merged_recursive": "io_merged",
    "io_time_recursive": "time",
    "sectors_recursive": "sectors",
}
# Who counts: the scheduler BFQ for devices that have it, the block layer for
# all.  The first who has something to say is believed.
_BLKIO_FILES = ("blkio.bfq.{}_recursive", "blkio.throttle.{}_recursive")


def statistics(group: Callable[[str], Group]) -> CgroupStats:
    """What the groups say.

    group: that of a controller, one without files if there is none.  That of ""
        is the group of v2 in a hybrid layout, in which pressure is measured.
    """
    unified = group("")
    return CgroupStats(
        cpu_stats=cpu_stats(group("cpuacct"), group("cpu"), unified),
        cpuset_stats=cpuset_stats(group("cpuset")),
        memory_stats=memory_stats(group("memory"), unified),
        pids_stats=shared.pids_stats(group("pids")),
        blkio_stats=blkio_stats(group("blkio"), unified),
        hugetlb_stats=hugetlb_stats(group("hugetlb")),
        rdma_stats=shared.rdma_stats(group("rdma")),
        misc_stats=shared.misc_stats(group("misc")),
    )


def cpu_stats(cpuacct: Group, cpu: Group, unified: Group) -> CPUStats | None:
    throttling, burst = None, None
    stat = parse.keyed(cpu.read("cpu.stat"))
    if "nr_periods" in stat:
        throttling = ThrottlingData(
            periods=stat["nr_periods"],
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_time", 0),
        )
    if "nr_bursts" in stat:
        burst = BurstData(stat["nr_bursts"], stat.get("burst_time", 0))
    usage, pressure = cpu_usage(cpuacct), parse.pressure(unified.read("cpu.pressure"))
    if usage is None and throttling is None and pressure is None:
        return None
    return CPUStats(cpu_usage=usage, throttling_data=throttling, burst_data=burst, psi=pressure)


def cpu_usage(cpuacct: Group) -> CPUUsage | None:
    total = parse.number(cpuacct.read("cpuacct.usage"))
    if total is None:
        return None
    # A heading, then lines of CPU, user, system.
    each = [parse.numbers(line) for line in cpuacct.read("cpuacct.usage_all").splitlines()]
    each = [line for line in each if len(line) == 3]
    # This file counts in ticks of the clock that programs see.
    tick = _NANOSECONDS // os.sysconf("SC_CLK_TCK")
    stat = parse.keyed(cpuacct.read("cpuacct.stat"))
    return CPUUsage(
        total_usage=total,
        percpu_usage=parse.numbers(cpuacct.read("cpuacct.usage_percpu")),
        percpu_usage_in_kernelmode=[system for _, _, system in each],
        percpu_usage_in_usermode=[user for _, user, _ in each],
        usage_in_kernelmode=stat.get("system", 0) * tick,
        usage_in_usermode=stat.get("user", 0) * tick,
    )


def cpuset_stats(group: Group) -> CPUSetStats | None:
    # A hierarchy mounted as cpuset(7) has it names the files without a prefix.
    for prefix in ("cpuset.", ""):
        cpus = group.read(f"{prefix}cpus")
        if cpus:
            break
    else:
        return None
    found = {name: parse.number(group.read(prefix + name)) or 0 for name in _CPUSET}
    mems = group.read(f"{prefix}mems")
    return CPUSetStats(cpus=parse.listed(cpus), mems=parse.listed(mems), **found)


def memory_stats(group: Group, unified: Group) -> MemoryStats | None:
    usage, pressure = memory_data(group, "memory"), parse.pressure(unified.read("memory.pressure"))
    if usage is None:
        return MemoryStats(psi=pressure) if pressure is not None else None
    stat = parse.keyed(group.read("memory.stat"))
    both = memory_data(group, "memory.memsw")
    swap = None
    if both is not None:
        # The two are read one after the other, and may not fit together.
        swap = MemoryData(
            usage=max(both.usage - usage.usage, 0), failcnt=max(both.failcnt - usage.failcnt, 0)
        )
    return MemoryStats(
        cache=stat.get("cache", 0),
        usage=usage,
        swap_usage=both,
        swap_only_usage=swap,
        kernel_usage=memory_data(group, "memory.kmem"),
        kernel_tcp_usage=memory_data(group, "memory.kmem.tcp"),
        page_usage_by_numa=page_usage(group.read("memory.numa_stat")),
        use_hierarchy=group.read("memory.use_hierarchy").strip() != "0",
        stats=stat,
        psi=pressure,
    )


def memory_data(group: Group, prefix: str) -> MemoryData | None:
    usage = parse.number(group.read(f"{prefix}.usage_in_bytes"))
    if usage is None:
        return None
    return MemoryData(
        usage=usage,
        max_usage=parse.number(group.read(f"{prefix}.max_usage_in_bytes")),
        failcnt=parse.number(group.read(f"{prefix}.failcnt")) or 0,
        limit=parse.number(group.read(f"{prefix}.limit_in_bytes")),
    )


def page_usage(text: str) -> PageUsageByNUMA | None:
    """Lines "total=5 N0=3 N1=2", also of file, anon and unevictable.

    All come a second time, with hierarchical_ before them.
    """
    if not text:
        return None
    found = PageUsageByNUMA()
    for line in text.splitlines():
        first, *rest = line.split() or [""]
        name, _, total = first.partition("=")
        nodes = {}
        for word in rest:
            node, _, pages = word.partition("=")
            if node[1:].isdigit():
                nodes[int(node[1:])] = parse.number(pages) or 0
        target: PageUsage = found
        if name.startswith("hierarchical_"):
            target, name = found.hierarchical, name[len("hierarchical_") :]
        if name in ("total", "file", "anon", "unevictable"):
            setattr(target, name, PageStats(parse.number(total) or 0, nodes))
    return found


def blkio_stats(group: Group, unified: Group) -> BlkioStats | None:
    pressure = parse.pressure(unified.read("io.pressure"))
    if pressure is None and not any(name.startswith("blkio.") for name in group.names()):
        return None
    found = BlkioStats(psi=pressure)
    for field, name in _BLKIO.items():
        for pattern in _BLKIO_FILES:
            entries = parse.device_values(group.read(pattern.format(name)))
            if entries:
                setattr(found, field, entries)
                break
    return found


def hugetlb_stats(group: Group) -> dict[str, HugetlbStats]:
    found = {}
    for size, prefix in shared.page_sizes(group, ".usage_in_bytes"):
        found[size] = HugetlbStats(
            usage=parse.number(group.read(f"{prefix}.usage_in_bytes")) or 0,
            max_usage=parse.number(group.read(f"{prefix}.max_usage_in_bytes")),
            failcnt=parse.number(group.read(f"{prefix}.failcnt")) or 0,
        )
    return found
