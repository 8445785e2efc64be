"""The values: libcontainer's Stats, by the names that its JSON has.

None, for a whole part too, is what the kernel does not tell: a controller that
the container has no group of, a file of a newer kernel.  Times are nanoseconds,
sizes are bytes, and both are counted since the groups were made, where no
other unit is given.

Sources: the kernel's admin-guide/cgroup-v1 and cgroup-v2; Documentation/accounting/psi.rst.
"""

from __future__ import annotations

from ...config.record import Record
from ...resctrl.statistics import IntelRdtStats

# What "max" in a file is here, as in libcontainer: no limit.  The number that
# cgroup v1 has for that is a bit less than 2**63, and is given as it is.
UNLIMITED = 2**64 - 1


class PSIData(Record):
    """Pressure stall information: how long processes have waited for a resource.

    avg10, avg60, avg300: per cent of the last so many seconds.
    total: microseconds.
    """

    avg10: float = 0.0
    avg60: float = 0.0
    avg300: float = 0.0
    total: int = 0


class PSIStats(Record):
    """some: at least one process waited.  full: all did.

    Of the group of cgroup v2, which there is in a hybrid layout, too.
    """

    some: PSIData = PSIData()
    full: PSIData = PSIData()


class CPUUsage(Record):
    """Time on CPUs, in nanoseconds; the lists have a number for each CPU, and only v1 has them."""

    total_usage: int = 0
    percpu_usage: list[int] = []
    percpu_usage_in_kernelmode: list[int] = []
    percpu_usage_in_usermode: list[int] = []
    usage_in_kernelmode: int = 0
    usage_in_usermode: int = 0


class ThrottlingData(Record):
    """What the quota has done.

    periods: that have passed while there was something to run.
    throttled_periods: of these, in how many the quota was used up.
    throttled_time: how long processes were held back, the sum over all CPUs; nanoseconds.
    """

    periods: int = 0
    throttled_periods: int = 0
    throttled_time: int = 0


class BurstData(Record):
    """bursts_periods: in which more than the quota was used; burst_time: how much more, in ns."""

    bursts_periods: int = 0
    burst_time: int = 0


class CPUStats(Record):
    """CPUs: burst_data from Linux 5.15 on."""

    cpu_usage: CPUUsage | None = None
    throttling_data: ThrottlingData | None = None
    burst_data: BurstData | None = None
    psi: PSIStats | None = None


class CPUSetStats(Record):
    """The files of cpuset(7), of cgroup v1; flags are 0 or 1.

    cpus, mems: numbers of CPUs and memory nodes.
    memory_pressure: attempts to free memory a second, times 1000.
    """

    cpus: list[int] = []
    cpu_exclusive: int = 0
    mems: list[int] = []
    mem_hardwall: int = 0
    mem_exclusive: int = 0
    memory_migrate: int = 0
    memory_spread_page: int = 0
    memory_spread_slab: int = 0
    memory_pressure: int = 0
    sched_load_balance: int = 0
    sched_relax_domain_level: int = 0


class MemoryData(Record):
    """One kind of memory; bytes.

    max_usage: the most there has been; with v2 from Linux 5.19 on, of swap 6.5.
    failcnt: how often the limit was hit.
    limit: UNLIMITED, or v1's number for that, is none.
    """

    usage: int = 0
    max_usage: int | None = None
    failcnt: int = 0
    limit: int | None = None


class PageStats(Record):
    """Pages, in all and on each memory node."""

    total: int = 0
    nodes: dict[int, int] = {}


class PageUsage(Record):
    total: PageStats = PageStats()
    file: PageStats = PageStats()
    anon: PageStats = PageStats()
    unevictable: PageStats = PageStats()


class PageUsageByNUMA(PageUsage):
    """Of the group itself; hierarchical: with the groups below it."""

    total: PageStats = PageStats()
    file: PageStats = PageStats()
    anon: PageStats = PageStats()
    unevictable: PageStats = PageStats()
    hierarchical: PageUsage = PageUsage()


class MemoryStats(Record):
    """Memory.

    cache: of files, in bytes.
    usage: None where memory is not counted, without the controller; psi is there all the same.
    swap_usage: memory and swap; swap_only_usage: swap.
    kernel_usage, kernel_tcp_usage, page_usage_by_numa: of cgroup v1.
    use_hierarchy: groups below are counted with it; always so since Linux 5.11.
    stats: memory.stat as it is, of the version that it is of: bytes, and v2's counts of
        events and v1's of pages paged in and out.
    """

    cache: int = 0
    usage: MemoryData | None = None
    swap_usage: MemoryData | None = None
    swap_only_usage: MemoryData | None = None
    kernel_usage: MemoryData | None = None
    kernel_tcp_usage: MemoryData | None = None
    page_usage_by_numa: PageUsageByNUMA | None = None
    use_hierarchy: bool = True
    stats: dict[str, int] = {}
    psi: PSIStats | None = None


class PidsStats(Record):
    """Processes, every thread for one, those of groups below counted too; limit: 0 is none."""

    current: int = 0
    limit: int = 0


class BlkioStatEntry(Record):
    """A number of one block device; op: what it counts: "Read", "Write", "Total", or ""."""

    major: int = 0
    minor: int = 0
    op: str = ""
    value: int = 0


class BlkioStats(Record):
    """Input and output of block devices.

    io_service_bytes_recursive: bytes.  io_serviced_recursive: requests.

    Of cgroup v1, from kernels with BFQ's debugging (CONFIG_BFQ_CGROUP_DEBUG):
    io_queue_recursive: requests that wait now.  io_service_time_recursive: from
        the device's start of a request to its end, and io_wait_time_recursive:
        before that, in a queue; both in nanoseconds.
    io_merged_recursive: requests that became part of another.
    io_time_recursive: milliseconds that the device was the group's.
    sectors_recursive: of 512 bytes.

    Of cgroup v2 with the io.cost controller, in microseconds:
    io_cost_usage: of the device's time.  io_cost_wait: waited for it.
    io_cost_indebt, io_cost_indelay: ran in debt; were held back to pay it.
    """

    io_service_bytes_recursive: list[BlkioStatEntry] = []
    io_serviced_recursive: list[BlkioStatEntry] = []
    io_queue_recursive: list[BlkioStatEntry] = []
    io_service_time_recursive: list[BlkioStatEntry] = []
    io_wait_time_recursive: list[BlkioStatEntry] = []
    io_merged_recursive: list[BlkioStatEntry] = []
    io_time_recursive: list[BlkioStatEntry] = []
    sectors_recursive: list[BlkioStatEntry] = []
    psi: PSIStats | None = None
    io_cost_usage: list[BlkioStatEntry] = []
    io_cost_wait: list[BlkioStatEntry] = []
    io_cost_indebt: list[BlkioStatEntry] = []
    io_cost_indelay: list[BlkioStatEntry] = []


class HugetlbStats(Record):
    """Huge pages of one size, reserved ones where the kernel counts these.

    usage, max_usage: bytes; v2 does not tell the latter.  failcnt: how often the limit was hit.
    """

    usage: int = 0
    max_usage: int | None = None
    failcnt: int = 0


class RdmaEntry(Record):
    """Of one RDMA device, or the limits of these; UNLIMITED is none."""

    device: str
    hca_handles: int = 0
    hca_objects: int = 0


class RdmaStats(Record):
    """RDMA devices: what of each may be used, and is."""

    rdma_limit: list[RdmaEntry] = []
    rdma_current: list[RdmaEntry] = []


class MiscStats(Record):
    """A resource of the misc controller, in its own unit.

    events: how often its limit was in the way.
    """

    usage: int = 0
    events: int = 0


class CgroupStats(Record):
    """What the control groups tell.  hugetlb_stats: by size of page, "2MB"; misc_stats: by name."""

    cpu_stats: CPUStats | None = None
    cpuset_stats: CPUSetStats | None = None
    memory_stats: MemoryStats | None = None
    pids_stats: PidsStats | None = None
    blkio_stats: BlkioStats | None = None
    hugetlb_stats: dict[str, HugetlbStats] = {}
    rdma_stats: RdmaStats | None = None
    misc_stats: dict[str, MiscStats] = {}


class NetworkInterface(Record):
    """A network device as the container sees it, since it was made; rx: what it has received."""

    name: str
    rx_bytes: int = 0
    rx_packets: int = 0
    rx_errors: int = 0
    rx_dropped: int = 0
    tx_bytes: int = 0
    tx_packets: int = 0
    tx_errors: int = 0
    tx_dropped: int = 0


class Stats(Record):
    """What a container has used: Container.stats().

    interfaces: of a network namespace of its own.
    """

    cgroup_stats: CgroupStats = CgroupStats()
    intel_rdt_stats: IntelRdtStats | None = None
    interfaces: list[NetworkInterface] = []
