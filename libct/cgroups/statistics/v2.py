"""Cgroup v2: which file says what.

Source: the kernel's admin-guide/cgroup-v2, Controllers.
"""

from __future__ import annotations

from . import parse, shared
from .records import (
    UNLIMITED,
    BlkioStatEntry,
    BlkioStats,
    BurstData,
    CgroupStats,
    CPUStats,
    CPUUsage,
    HugetlbStats,
    MemoryData,
    MemoryStats,
    PidsStats,
    ThrottlingData,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .directory import Group

_MICROSECOND = 1000  # in nanoseconds

# The words of io.stat: the field of BlkioStats, and the operation.
_IO = {
    "rbytes": ("io_service_bytes_recursive", "Read"),
    "wbytes": ("io_service_bytes_recursive", "Write"),
    "dbytes": ("io_service_bytes_recursive", "Discard"),
    "rios": ("io_serviced_recursive", "Read"),
    "wios": ("io_serviced_recursive", "Write"),
    "dios": ("io_serviced_recursive", "Discard"),
    "cost.usage": ("io_cost_usage", "Count"),
    "cost.wait": ("io_cost_wait", "Count"),
    "cost.indebt": ("io_cost_indebt", "Count"),
    "cost.indelay": ("io_cost_indelay", "Count"),
}


def statistics(group: Group) -> CgroupStats:
    """What the group says; parts of controllers that are not enabled for it are None."""
    return CgroupStats(
        cpu_stats=cpu_stats(group),
        memory_stats=memory_stats(group),
        pids_stats=pids_stats(group),
        blkio_stats=blkio_stats(group),
        hugetlb_stats=hugetlb_stats(group),
        rdma_stats=shared.rdma_stats(group),
        misc_stats=shared.misc_stats(group),
    )


def cpu_stats(group: Group) -> CPUStats | None:
    stat = parse.keyed(group.read("cpu.stat"))
    if "usage_usec" not in stat:
        return None
    usage = CPUUsage(
        total_usage=stat["usage_usec"] * _MICROSECOND,
        usage_in_kernelmode=stat.get("system_usec", 0) * _MICROSECOND,
        usage_in_usermode=stat.get("user_usec", 0) * _MICROSECOND,
    )
    throttling, burst = None, None
    if "nr_periods" in stat:  # with the cpu controller; what is above needs none
        throttling = ThrottlingData(
            periods=stat["nr_periods"],
            throttled_periods=stat.get("nr_throttled", 0),
            throttled_time=stat.get("throttled_usec", 0) * _MICROSECOND,
        )
    if "nr_bursts" in stat:
        burst = BurstData(stat["nr_bursts"], stat.get("burst_usec", 0) * _MICROSECOND)
    pressure = parse.pressure(group.read("cpu.pressure"))
    return CPUStats(cpu_usage=usage, throttling_data=throttling, burst_data=burst, psi=pressure)


def memory_stats(group: Group) -> MemoryStats | None:
    usage, pressure = memory_data(group, "memory"), parse.pressure(group.read("memory.pressure"))
    if usage is None:  # no controller; pressure needs none
        return MemoryStats(psi=pressure) if pressure is not None else None
    stat = parse.keyed(group.read("memory.stat"))
    swap = memory_data(group, "memory.swap")
    return MemoryStats(
        cache=stat.get("file", 0),
        usage=usage,
        swap_usage=_together(usage, swap) if swap is not None else None,
        swap_only_usage=swap,
        use_hierarchy=True,
        stats=stat,
        psi=pressure,
    )


def memory_data(group: Group, prefix: str) -> MemoryData | None:
    usage = parse.number(group.read(f"{prefix}.current"))
    if usage is None:
        return None
    return MemoryData(
        usage=usage,
        max_usage=parse.number(group.read(f"{prefix}.peak")),  # Linux 5.19, of swap 6.5
        failcnt=parse.keyed(group.read(f"{prefix}.events")).get("max", 0),
        limit=parse.number(group.read(f"{prefix}.max")),
    )


def _together(memory: MemoryData, swap: MemoryData) -> MemoryData:
    """Memory and swap in one, as v1 counts; the most there has been of that nobody knows."""
    limit = swap.limit
    if limit is not None and memory.limit is not None:
        limit = UNLIMITED if UNLIMITED in (limit, memory.limit) else limit + memory.limit
    return MemoryData(usage=memory.usage + swap.usage, failcnt=swap.failcnt, limit=limit)


def pids_stats(group: Group) -> PidsStats | None:
    found = shared.pids_stats(group)
    if found is not None:
        return found
    # Without the controller there is no count, but there are lists, of each group's own threads.
    lists = group.read_all("cgroup.threads")
    return PidsStats(current=sum(len(text.split()) for text in lists)) if lists else None


def blkio_stats(group: Group) -> BlkioStats | None:
    text, pressure = group.read("io.stat"), parse.pressure(group.read("io.pressure"))
    if not text and pressure is None:
        return None
    found: dict[str, list[BlkioStatEntry]] = {}
    for name, values in parse.nested(text):
        device = parse.device_number(name)
        if device is None:
            continue
        for word, (field, op) in _IO.items():
            value = parse.number(values.get(word, ""))
            if value is not None:
                found.setdefault(field, []).append(BlkioStatEntry(*device, op, value))
    return BlkioStats(**found, psi=pressure)


def hugetlb_stats(group: Group) -> dict[str, HugetlbStats]:
    found = {}
    for size, prefix in shared.page_sizes(group, ".current"):
        # Events are of both counts, the reserved one and the other.
        events = parse.keyed(group.read(f"hugetlb.{size}.events"))
        found[size] = HugetlbStats(
            usage=parse.number(group.read(f"{prefix}.current")) or 0, failcnt=events.get("max", 0)
        )
    return found
