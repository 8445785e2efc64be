"""Statistics of control groups, from the texts of their files."""

from __future__ import annotations

import os
from typing import Any

import pytest

from libct.cgroups.statistics import parse, shared, v1, v2
from libct.cgroups.statistics.records import (
    UNLIMITED,
    BlkioStatEntry,
    BlkioStats,
    BurstData,
    CgroupStats,
    CPUSetStats,
    CPUStats,
    CPUUsage,
    HugetlbStats,
    MemoryData,
    MemoryStats,
    MiscStats,
    PageStats,
    PageUsage,
    PageUsageByNUMA,
    PidsStats,
    PSIData,
    PSIStats,
    RdmaEntry,
    RdmaStats,
    Stats,
    ThrottlingData,
)

NO_LIMIT_V1 = 9223372036854771712


class Texts:
    """A control group that is no more than the texts of its files."""

    def __init__(self, texts: dict[str, str] | None = None, *below: Texts) -> None:
        self.texts, self.below = texts or {}, below

    def read(self, name: str) -> str:
        return self.texts.get(name, "")

    def read_all(self, name: str) -> list[str]:
        found = [self.read(name)] if self.read(name) else []
        return found + [text for group in self.below for text in group.read_all(name)]

    def names(self) -> list[str]:
        return list(self.texts)


NOTHING = Texts()

V1: dict[str, dict[str, str]] = {
    "cpu": {
        "cpu.stat": "nr_periods 10\nnr_throttled 3\nthrottled_time 5000\n"
        "nr_bursts 2\nburst_time 700\n"
    },
    "cpuacct": {
        "cpuacct.usage": "21129327\n",
        "cpuacct.usage_percpu": "12826652 8302675 \n",
        "cpuacct.usage_all": "cpu user system\n0 11736021 4000000\n1 0 4000001\n",
        "cpuacct.stat": "user 1\nsystem 2\n",
    },
    "cpuset": {
        "cpuset.cpus": "0-2,8\n",
        "cpuset.mems": "0\n",
        "cpuset.cpu_exclusive": "1\n",
        "cpuset.mem_hardwall": "0\n",
        "cpuset.memory_pressure": "77\n",
        "cpuset.sched_load_balance": "1\n",
        "cpuset.sched_relax_domain_level": "-1\n",
    },
    "memory": {
        "memory.usage_in_bytes": "745472\n",
        "memory.max_usage_in_bytes": "2781184\n",
        "memory.failcnt": "4\n",
        "memory.limit_in_bytes": f"{NO_LIMIT_V1}\n",
        "memory.memsw.usage_in_bytes": "800000\n",
        "memory.memsw.max_usage_in_bytes": "2800000\n",
        "memory.memsw.failcnt": "1\n",
        "memory.memsw.limit_in_bytes": "3000000\n",
        "memory.kmem.usage_in_bytes": "270336\n",
        "memory.kmem.max_usage_in_bytes": "610304\n",
        "memory.kmem.failcnt": "0\n",
        "memory.kmem.limit_in_bytes": f"{NO_LIMIT_V1}\n",
        "memory.kmem.tcp.usage_in_bytes": "0\n",
        "memory.use_hierarchy": "1\n",
        "memory.stat": "cache 12288\nrss 57344\ntotal_cache 12288\n",
        "memory.numa_stat": "total=5 N0=3 N2=2\nfile=1 N0=1 N2=0\nanon=4 N0=2 N2=2\n"
        "unevictable=0 N0=0 N2=0\nhierarchical_total=9 N0=9 N2=0\n",
    },
    "pids": {"pids.current": "7\n", "pids.max": "max\n"},
    "blkio": {
        "blkio.bfq.io_service_bytes_recursive": "Total 0\n",
        "blkio.bfq.io_serviced_recursive": "8:16 Read 5\n8:16 Total 5\nTotal 5\n",
        "blkio.bfq.time_recursive": "8:16 99\n",
        "blkio.bfq.io_queued_recursive": "8:16 Sync 1\n",
        "blkio.throttle.io_service_bytes_recursive": "8:0 Read 4096\n8:0 Write 0\nTotal 4096\n",
        "blkio.throttle.io_serviced_recursive": "8:0 Read 1\nTotal 1\n",
    },
    "hugetlb": {
        "hugetlb.2MB.usage_in_bytes": "1\n",
        "hugetlb.2MB.max_usage_in_bytes": "2\n",
        "hugetlb.2MB.failcnt": "3\n",
        "hugetlb.2MB.rsvd.usage_in_bytes": "10\n",
        "hugetlb.2MB.rsvd.max_usage_in_bytes": "20\n",
        "hugetlb.2MB.rsvd.failcnt": "30\n",
        "hugetlb.1GB.usage_in_bytes": "0\n",
        "hugetlb.1GB.max_usage_in_bytes": "4\n",
        "hugetlb.1GB.failcnt": "5\n",
    },
    "rdma": {
        "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\nocrdma1 hca_handle=3 hca_object=0\n",
        "rdma.max": "mlx4_0 hca_handle=max hca_object=3000\n",
    },
    "misc": {"misc.current": "sev 3\nsev_es 0\n", "misc.events": "sev.max 2\n"},
    # The group of v2 in a hybrid layout.
    "": {
        "cpu.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=1\n",
        "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=2\n",
        "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=3\n",
    },
}


def test_v1() -> None:
    tick = 10**9 // os.sysconf("SC_CLK_TCK")
    found = v1.statistics(lambda controller: Texts(V1[controller]))
    assert found.cpu_stats == CPUStats(
        CPUUsage(
            total_usage=21129327,
            percpu_usage=[12826652, 8302675],
            percpu_usage_in_kernelmode=[4000000, 4000001],
            percpu_usage_in_usermode=[11736021, 0],
            usage_in_kernelmode=2 * tick,
            usage_in_usermode=tick,
        ),
        ThrottlingData(10, 3, 5000),
        BurstData(2, 700),
        PSIStats(some=PSIData(total=1)),
    )
    assert found.cpuset_stats == CPUSetStats(
        cpus=[0, 1, 2, 8],
        mems=[0],
        cpu_exclusive=1,
        memory_pressure=77,
        sched_load_balance=1,
        sched_relax_domain_level=-1,
    )
    assert found.memory_stats == MemoryStats(
        cache=12288,
        usage=MemoryData(745472, 2781184, 4, NO_LIMIT_V1),
        swap_usage=MemoryData(800000, 2800000, 1, 3000000),
        swap_only_usage=MemoryData(800000 - 745472),  # and failures are no less than none
        kernel_usage=MemoryData(270336, 610304, 0, NO_LIMIT_V1),
        kernel_tcp_usage=MemoryData(),
        page_usage_by_numa=PageUsageByNUMA(
            total=PageStats(5, {0: 3, 2: 2}),
            file=PageStats(1, {0: 1, 2: 0}),
            anon=PageStats(4, {0: 2, 2: 2}),
            unevictable=PageStats(0, {0: 0, 2: 0}),
            hierarchical=PageUsage(total=PageStats(9, {0: 9, 2: 0})),
        ),
        stats={"cache": 12288, "rss": 57344, "total_cache": 12288},
        psi=PSIStats(some=PSIData(total=2)),
    )
    assert found.pids_stats == PidsStats(7, 0)
    assert found.blkio_stats == BlkioStats(
        # The first of the files that has something to say.
        io_service_bytes_recursive=[
            BlkioStatEntry(8, 0, "Read", 4096),
            BlkioStatEntry(8, 0, "Write", 0),
        ],
        io_serviced_recursive=[
            BlkioStatEntry(8, 16, "Read", 5),
            BlkioStatEntry(8, 16, "Total", 5),
        ],
        io_time_recursive=[BlkioStatEntry(8, 16, "", 99)],
        io_queue_recursive=[BlkioStatEntry(8, 16, "Sync", 1)],
        psi=PSIStats(some=PSIData(total=3)),
    )
    assert found.hugetlb_stats == {"1GB": HugetlbStats(0, 4, 5), "2MB": HugetlbStats(10, 20, 30)}
    assert found.rdma_stats == RdmaStats(
        rdma_limit=[RdmaEntry("mlx4_0", UNLIMITED, 3000)],
        rdma_current=[RdmaEntry("mlx4_0", 2, 2000), RdmaEntry("ocrdma1", 3, 0)],
    )
    assert found.misc_stats == {"sev": MiscStats(3, 2), "sev_es": MiscStats(0, 0)}


V2 = {
    "cgroup.threads": "1\n2\n3\n",
    "cpu.stat": "usage_usec 100\nuser_usec 60\nsystem_usec 40\nnice_usec 0\ncore_sched.x 1\n"
    "nr_periods 10\nnr_throttled 3\nthrottled_usec 5\nnr_bursts 2\nburst_usec 7\n",
    "cpu.pressure": "some avg10=0.12 avg60=1.50 avg300=0.00 total=777\n"
    "full avg10=0.00 avg60=0.00 avg300=3.25 total=11\n",
    "memory.current": "4096\n",
    "memory.max": "8192\n",
    "memory.peak": "6000\n",
    "memory.events": "low 0\nhigh 0\nmax 9\noom 1\noom_kill 1\noom_group_kill 0\n",
    "memory.swap.current": "1000\n",
    "memory.swap.max": "2000\n",
    "memory.swap.peak": "1500\n",
    "memory.swap.events": "high 0\nmax 6\nfail 0\n",
    "memory.stat": "anon 1\nfile 2048\n",
    "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
    "pids.current": "3\n",
    "pids.max": "100\n",
    "io.stat": "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6 cost.usage=7 cost.wait=8\n"
    "8:16 rbytes=9\n",
    "hugetlb.2MB.current": "1\n",
    "hugetlb.2MB.rsvd.current": "2\n",
    "hugetlb.2MB.events": "max 3\n",
    "hugetlb.2MB.events.local": "max 4\n",
    "hugetlb.2MB.max": "max\n",
    "rdma.current": "mlx4_0 hca_handle=2 hca_object=2000\n",
    "misc.current": "res_a 3\n",
    "misc.events": "res_a.max 1\n",
}


def test_v2() -> None:
    found = v2.statistics(Texts(V2))
    assert found == CgroupStats(
        cpu_stats=CPUStats(
            CPUUsage(total_usage=100_000, usage_in_kernelmode=40_000, usage_in_usermode=60_000),
            ThrottlingData(10, 3, 5000),
            BurstData(2, 7000),
            PSIStats(PSIData(0.12, 1.5, 0.0, 777), PSIData(0.0, 0.0, 3.25, 11)),
        ),
        memory_stats=MemoryStats(
            cache=2048,
            usage=MemoryData(4096, 6000, 9, 8192),
            swap_only_usage=MemoryData(1000, 1500, 6, 2000),
            swap_usage=MemoryData(5096, None, 6, 10192),
            stats={"anon": 1, "file": 2048},
            psi=PSIStats(some=PSIData(total=5)),
        ),
        pids_stats=PidsStats(3, 100),
        blkio_stats=BlkioStats(
            io_service_bytes_recursive=[
                BlkioStatEntry(8, 0, "Read", 1),
                BlkioStatEntry(8, 0, "Write", 2),
                BlkioStatEntry(8, 0, "Discard", 5),
                BlkioStatEntry(8, 16, "Read", 9),
            ],
            io_serviced_recursive=[
                BlkioStatEntry(8, 0, "Read", 3),
                BlkioStatEntry(8, 0, "Write", 4),
                BlkioStatEntry(8, 0, "Discard", 6),
            ],
            io_cost_usage=[BlkioStatEntry(8, 0, "Count", 7)],
            io_cost_wait=[BlkioStatEntry(8, 0, "Count", 8)],
        ),
        hugetlb_stats={"2MB": HugetlbStats(2, None, 3)},
        rdma_stats=RdmaStats(rdma_current=[RdmaEntry("mlx4_0", 2, 2000)]),
        misc_stats={"res_a": MiscStats(3, 1)},
    )


def test_what_is_not_there_is_none() -> None:
    assert v1.statistics(lambda controller: NOTHING) == CgroupStats()
    assert v2.statistics(NOTHING) == CgroupStats()
    assert CgroupStats().memory_stats is None


def test_v2_without_controllers() -> None:
    """What every group has; pressure and processes are counted without a controller."""
    files = {
        "cpu.stat": "usage_usec 1\nuser_usec 1\nsystem_usec 0\n",
        "io.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=5\n",
        "memory.pressure": "some avg10=0.00 avg60=0.00 avg300=0.00 total=6\n",
        "cgroup.threads": "12\n13\n",
    }
    below = Texts({"cgroup.threads": "14\n"}, Texts({"cgroup.threads": "15\n16\n"}))
    assert v2.statistics(Texts(files, below)) == CgroupStats(
        cpu_stats=CPUStats(CPUUsage(total_usage=1000, usage_in_usermode=1000)),
        memory_stats=MemoryStats(psi=PSIStats(some=PSIData(total=6))),
        pids_stats=PidsStats(5, 0),
        blkio_stats=BlkioStats(psi=PSIStats(some=PSIData(total=5))),
    )


@pytest.mark.parametrize(
    ("memory", "swap", "both"),
    [("max", "max", UNLIMITED), ("10", "max", UNLIMITED), ("max", "0", UNLIMITED), ("10", "5", 15)],
)
def test_v2_limits_of_memory_and_swap_in_one(memory: str, swap: str, both: int) -> None:
    files = {
        "memory.current": "1",
        "memory.max": memory,
        "memory.swap.current": "0",
        "memory.swap.max": swap,
    }
    found = v2.memory_stats(Texts(files))
    assert found is not None
    assert found.swap_usage == MemoryData(1, None, 0, both)


def test_memory_without_accounting_of_swap() -> None:
    two = v2.memory_stats(Texts({"memory.current": "1", "memory.max": "max"}))
    one = v1.memory_stats(Texts({"memory.usage_in_bytes": "1"}), NOTHING)
    assert two is not None
    assert one is not None
    assert two.usage == MemoryData(1, None, 0, UNLIMITED)
    assert one.usage == MemoryData(1)
    for found in (one, two):
        assert found.swap_usage is found.swap_only_usage is found.kernel_usage is None


def test_v1_memory_and_swap_that_do_not_fit_together() -> None:
    """They are read at different times."""
    files = {"memory.usage_in_bytes": "100", "memory.memsw.usage_in_bytes": "90"}
    found = v1.memory_stats(Texts(files), NOTHING)
    assert found is not None
    assert found.swap_only_usage == MemoryData(0)


def test_v1_without_hierarchy() -> None:
    files = {"memory.usage_in_bytes": "1", "memory.use_hierarchy": "0\n"}
    found = v1.memory_stats(Texts(files), NOTHING)
    assert found is not None
    assert not found.use_hierarchy


def test_v1_cpu_controllers_apart() -> None:
    assert v1.cpu_stats(Texts(V1["cpuacct"]), NOTHING, NOTHING) == CPUStats(
        v1.cpu_usage(Texts(V1["cpuacct"]))
    )
    assert v1.cpu_stats(NOTHING, Texts({"cpu.stat": "nr_periods 1\n"}), NOTHING) == CPUStats(
        None, ThrottlingData(1)
    )


def test_v1_pressure_needs_no_controller() -> None:
    groups = {"": Texts(V1[""])}
    assert v1.statistics(lambda name: groups.get(name, NOTHING)) == CgroupStats(
        cpu_stats=CPUStats(psi=PSIStats(some=PSIData(total=1))),
        memory_stats=MemoryStats(psi=PSIStats(some=PSIData(total=2))),
        blkio_stats=BlkioStats(psi=PSIStats(some=PSIData(total=3))),
    )


def test_v1_a_cpuset_without_prefix_and_one_not_set_up() -> None:
    assert v1.cpuset_stats(Texts({"cpus": "1\n", "mems": "0\n", "mem_hardwall": "1"})) == (
        CPUSetStats(cpus=[1], mems=[0], mem_hardwall=1)
    )
    assert v1.cpuset_stats(Texts({"cpuset.cpus": "\n", "cpuset.mems": "\n"})) == CPUSetStats()


def test_v1_block_devices_that_did_nothing() -> None:
    files = {"blkio.throttle.io_serviced_recursive": "Total 0\n"}
    assert v1.blkio_stats(Texts(files), NOTHING) == BlkioStats()


@pytest.mark.parametrize(
    "text",
    [
        "7:1 7:0 8:0 rbytes=1 rios=2\n",
        "7:1\n7:0 \n8:0 rbytes=1 rios=2\n",
        "8:0 rbytes=1 rios=2 7:1\n",
        "8:0 rbytes=1 rios=2 unknown=x word= cost.vrate=100.00\n",
        "(unknown) rbytes=7\n8:0 rbytes=1 rios=2\n",
    ],
)
def test_v2_odd_lines_of_io_stat(text: str) -> None:
    assert v2.blkio_stats(Texts({"io.stat": text})) == BlkioStats(
        io_service_bytes_recursive=[BlkioStatEntry(8, 0, "Read", 1)],
        io_serviced_recursive=[BlkioStatEntry(8, 0, "Read", 2)],
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [("max\n", UNLIMITED), ("12\n", 12), ("-1\n", -1), ("", None), ("\n", None), ("x", None)],
)
def test_numbers(text: str, expected: int | None) -> None:
    assert parse.number(text) == expected


def test_lines_that_are_no_numbers_are_left_out() -> None:
    assert parse.keyed("a 1\n\nb\nc x\nd 2 3\ne max\n") == {"a": 1, "e": UNLIMITED}


@pytest.mark.parametrize("text", ["", "some avg10=0.00\n", "some avg10=x avg60=0 avg300=0 total=1"])
def test_pressure_that_is_not_measured(text: str) -> None:
    assert parse.pressure(text) is None


@pytest.mark.parametrize("text", ["", "8:0\n", "8 Read 1\n", "8:0 Read x\n", "8:0 a b 1\n"])
def test_odd_lines_of_block_devices_are_left_out(text: str) -> None:
    assert parse.device_values(text) == []


def test_page_sizes() -> None:
    names = {
        "hugetlb.64KB.current": "",
        "hugetlb.1GB.rsvd.current": "",
        "hugetlb.1GB.current": "",
        "pids.current": "",
        "hugetlb.2MB.events": "",
    }
    assert shared.page_sizes(Texts(names), ".current") == [
        ("1GB", "hugetlb.1GB.rsvd"),
        ("64KB", "hugetlb.64KB"),
    ]


@pytest.mark.parametrize(
    "found", [v2.statistics(Texts(V2)), v1.statistics(lambda name: Texts(V1[name]))]
)
def test_they_are_records(found: Any) -> None:
    stats = Stats(found)
    assert Stats.from_dict(stats.to_dict()) == stats == stats.copy()
