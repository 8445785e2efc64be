"""What limits come down to with cgroup v1 and v2, and how that is undone."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from libct.cgroups import choose
from libct.cgroups.layout import Hierarchy, Layout
from libct.cgroups.limits import v1, v2
from libct.cgroups.limits.former import former, raises, says
from libct.cgroups.limits.setting import Setting, asked
from libct.config import Cgroup, HugepageLimit, InterfacePriority, Resources
from libct.config.cgroup import Rdma, ThrottleDevice, WeightDevice

GOLDEN = Path(__file__).parent / "golden"

EVERYTHING = Resources(
    memory=64 << 20,
    memory_swap=96 << 20,
    memory_reservation=32 << 20,
    memory_swappiness=0,
    memory_oom_group=True,
    oom_kill_disable=True,
    cpu_shares=512,
    cpu_quota=20000,
    cpu_period=50000,
    cpu_burst=1000,
    cpu_rt_period=500000,
    cpu_rt_quota=1000,
    cpu_idle=0,
    cpuset_cpus="0-1",
    cpuset_mems="0",
    pids_limit=0,
    blkio_weight=500,
    blkio_leaf_weight=20,
    blkio_weight_device=[WeightDevice(8, 0, 100, 30), WeightDevice(8, 16)],
    blkio_throttle_read_bps_device=[ThrottleDevice(8, 0, 1000), ThrottleDevice(8, 16, 0)],
    blkio_throttle_write_bps_device=[ThrottleDevice(8, 0, 2000)],
    blkio_throttle_read_iops_device=[ThrottleDevice(8, 0, 3000)],
    blkio_throttle_write_iops_device=[ThrottleDevice(8, 0, 4000)],
    hugetlb_limit=[HugepageLimit("2MB", 4096)],
    net_cls_classid=0x100001,
    net_prio_ifpriomap=[InterfacePriority("lo", 5), InterfacePriority("eth0", 0)],
    rdma={"mlx5_0": Rdma(2, 2000), "mlx5_1": Rdma(None, 5), "mlx5_2": Rdma()},
    unified={"memory.high": "1000", "io.max": "8:0 rbps=1\n8:16 rbps=2\n", "cgroup.max.depth": "3"},
)

# controller, place, files and values; "or" where they are those of different kernels.
V1 = """
cpuset cpu.cpus: cpuset.cpus=0-1 or cpus=0-1
cpuset cpu.mems: cpuset.mems=0 or mems=0
memory memory.limit: memory.limit_in_bytes=67108864, memory.memsw.limit_in_bytes=100663296
memory memory.reservation: memory.soft_limit_in_bytes=33554432
memory memory.disableOOMKiller: memory.oom_control=1
memory memory.swappiness: memory.swappiness=0
cpu cpu.idle: cpu.idle=0
cpu cpu.shares: cpu.shares=512
cpu cpu: cpu.cfs_period_us=50000, cpu.cfs_burst_us=1000, cpu.cfs_quota_us=20000
cpu cpu.realtimeRuntime: cpu.rt_period_us=500000, cpu.rt_runtime_us=1000
pids pids.limit: pids.max=1
blkio blockIO.weight: blkio.bfq.weight=500 or blkio.weight=500
blkio blockIO.leafWeight: blkio.leaf_weight=20
blkio blockIO.weightDevice[0]: blkio.bfq.weight_device=8:0 100 or blkio.weight_device=8:0 100
blkio blockIO.weightDevice[0]: blkio.leaf_weight_device=8:0 30
blkio blockIO.throttleReadBpsDevice[0]: blkio.throttle.read_bps_device=8:0 1000
blkio blockIO.throttleReadBpsDevice[1]: blkio.throttle.read_bps_device=8:16 0
blkio blockIO.throttleWriteBpsDevice[0]: blkio.throttle.write_bps_device=8:0 2000
blkio blockIO.throttleReadIOPSDevice[0]: blkio.throttle.read_iops_device=8:0 3000
blkio blockIO.throttleWriteIOPSDevice[0]: blkio.throttle.write_iops_device=8:0 4000
hugetlb hugepageLimits[0]: hugetlb.2MB.limit_in_bytes=4096, hugetlb.2MB.rsvd.limit_in_bytes=4096?
net_cls network.classID: net_cls.classid=1048577
net_prio network.priorities[0]: net_prio.ifpriomap=lo 5
net_prio network.priorities[1]: net_prio.ifpriomap=eth0 0
rdma rdma.mlx5_0: rdma.max=mlx5_0 hca_handle=2 hca_object=2000
rdma rdma.mlx5_1: rdma.max=mlx5_1 hca_object=5
"""

V2 = """
pids pids.limit: pids.max=1
memory memory.limit: memory.swap.max=33554432, memory.max=67108864
memory memory.reservation: memory.low=33554432
memory memory_oom_group: memory.oom.group=1
io blockIO.weight: io.bfq.weight=500 or io.weight=4950
io blockIO.weightDevice[0]: io.bfq.weight=8:0 100 or io.weight=8:0 910
io blockIO.throttleReadBpsDevice[0]: io.max=8:0 rbps=1000
io blockIO.throttleReadBpsDevice[1]: io.max=8:16 rbps=max
io blockIO.throttleWriteBpsDevice[0]: io.max=8:0 wbps=2000
io blockIO.throttleReadIOPSDevice[0]: io.max=8:0 riops=3000
io blockIO.throttleWriteIOPSDevice[0]: io.max=8:0 wiops=4000
cpu cpu.idle: cpu.idle=0
cpu cpu.shares: cpu.weight=59
cpu cpu: cpu.max.burst=1000, cpu.max=20000 50000
cpuset cpu.cpus: cpuset.cpus=0-1
cpuset cpu.mems: cpuset.mems=0
hugetlb hugepageLimits[0]: hugetlb.2MB.max=4096, hugetlb.2MB.rsvd.max=4096?
rdma rdma.mlx5_0: rdma.max=mlx5_0 hca_handle=2 hca_object=2000
rdma rdma.mlx5_1: rdma.max=mlx5_1 hca_object=5
memory unified.memory.high: memory.high=1000
io unified.io.max: io.max=8:0 rbps=1
io unified.io.max: io.max=8:16 rbps=2
- unified.cgroup.max.depth: cgroup.max.depth=3
"""


def shown(settings: list[Setting]) -> str:
    lines = [""]
    for one in settings:
        writes = (" or " if one.first else ", ").join(
            f"{file}={value}" + "?" * if_there for file, value, if_there in one.writes
        )
        lines.append(f"{one.controller or '-'} {one.where}: {writes}")
    return "\n".join(lines) + "\n"


def test_everything_at_once_with_v1() -> None:
    assert shown(v1.settings(EVERYTHING)) == V1


def test_everything_at_once_with_v2() -> None:
    assert shown(v2.settings(EVERYTHING)) == V2


@pytest.mark.parametrize("version", ["v1", "v2"])
def test_a_plan_prints_them(version: str) -> None:
    names = asked((v1 if version == "v1" else v2).settings(EVERYTHING))
    if version == "v1":
        layout = Layout("v1", {name: Hierarchy(f"/sys/fs/cgroup/{name}") for name in names})
    else:
        layout = Layout("v2", unified=Hierarchy("/sys/fs/cgroup"), v2_controllers=names)
    resources = EVERYTHING.copy(skip_devices=True)
    manager = choose.new(Cgroup(path="/box", resources=resources), "box", layout)
    assert manager.problems() == []
    lines = []
    for step in manager.create_steps():
        if step.op.startswith("cgroup_write"):
            lines += [f"{step.title}  ({step.why})", *(f"    {call}" for call in step.calls)]
    planned = "\n".join(lines) + "\n"
    file = GOLDEN / f"limits-{version}.txt"
    if os.environ.get("LIBCT_GOLDEN") == "write":
        file.write_text(planned)
    assert planned == file.read_text()


@pytest.mark.parametrize(
    ("resources", "v1_line", "v2_line"),
    [
        (Resources(pids_limit=-1), "pids.max=max", "pids.max=max"),
        (
            Resources(memory=-1),
            "memory.limit_in_bytes=-1, memory.memsw.limit_in_bytes=-1?",
            "memory.swap.max=max?, memory.max=max",
        ),
        (Resources(memory_swap=-1), "memory.memsw.limit_in_bytes=-1", "memory.swap.max=max?"),
        (
            Resources(memory=10, memory_swap=10),
            "memory.limit_in_bytes=10, memory.memsw.limit_in_bytes=10",
            "memory.swap.max=0?, memory.max=10",
        ),
        (Resources(cpu_quota=-1), "cpu.cfs_quota_us=-1", "cpu.max=max 100000"),
        (Resources(cpu_period=5000), "cpu.cfs_period_us=5000", "cpu.max=max 5000"),
        (Resources(cpu_idle=1, cpu_shares=5), "cpu.idle=1", "cpu.idle=1"),
        (Resources(cpu_weight=7, cpu_shares=2), "cpu.shares=2", "cpu.weight=7"),
        (Resources(memory_oom_group=False), "", "memory.oom.group=0"),
        (Resources(freezer="FROZEN"), "", ""),
        (Resources(), "", ""),
    ],
)
def test_special_values(resources: Resources, v1_line: str, v2_line: str) -> None:
    for version, line in ((v1, v1_line), (v2, v2_line)):
        text = shown(version.settings(resources)).strip()
        assert text.partition(": ")[2] == line


@pytest.mark.parametrize(
    ("resources", "message"),
    [
        (Resources(memory=10, memory_swap=9), "is less than the limit of memory, 10"),
        (Resources(memory=-1, memory_swap=9), "memory has no limit, so it and swap have none"),
        (Resources(memory=10, memory_swap=10), None),
        (Resources(memory=10, memory_swap=-1), None),
        (Resources(memory=10), None),
        (Resources(memory_swap=9), None),  # of a change: memory is limited already
    ],
)
def test_v1_has_no_limit_of_swap_below_that_of_memory(
    resources: Resources, message: str | None
) -> None:
    expected = [("linux.resources.memory.swap", message)] if message else []
    assert v1.problems(resources) == expected


def test_which_controllers_are_needed_and_who_asks() -> None:
    found = asked(v2.settings(EVERYTHING))
    assert list(found) == ["pids", "memory", "io", "cpu", "cpuset", "hugetlb", "rdma"]
    assert found["io"] == "linux.resources.blockIO.weight"
    files = Resources(unified={"misc.max": "x 1", "cgroup.max.depth": "0"})
    assert asked(v2.settings(files)) == {"misc": "linux.resources.unified.misc.max"}
    assert list(asked(v1.settings(EVERYTHING)))[-4:] == ["hugetlb", "net_cls", "net_prio", "rdma"]


# --- back ---


@pytest.mark.parametrize(
    ("file", "text", "line", "back"),
    [
        ("pids.max", "max\n", "5", ["max"]),
        ("cpu.max", "max 100000\n", "5000 10000", ["max 100000"]),
        ("cpuset.cpus", "\n", "0", [""]),
        (
            "memory.oom_control",
            "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n",
            "1",
            ["0"],
        ),
        ("io.max", "", "8:0 rbps=5", ["8:0 rbps=max wbps=max riops=max wiops=max"]),
        (
            "io.max",
            "8:0 rbps=1 wbps=max riops=max wiops=max\n8:16 rbps=2\n",
            "8:0 wbps=5",
            ["8:0 rbps=1 wbps=max riops=max wiops=max"],
        ),
        ("io.weight", "default 100\n8:0 50\n", "300", ["default 100"]),
        ("io.weight", "default 100\n8:0 50\n", "default 300", ["default 100"]),
        ("io.weight", "default 100\n8:0 50\n", "8:0 300", ["8:0 50"]),
        ("io.bfq.weight", "default 100\n", "8:16 300", ["8:16 default"]),
        ("blkio.bfq.weight", "100\n", "300", ["100"]),
        ("blkio.throttle.read_bps_device", "8:16 7\n", "8:1 300", ["8:1 0"]),
        (
            "rdma.max",
            "a hca_handle=1 hca_object=max\n",
            "a hca_object=3",
            ["a hca_handle=1 hca_object=max"],
        ),
        ("rdma.max", "", "a hca_object=3", ["a hca_handle=max hca_object=max"]),
        ("net_prio.ifpriomap", "lo 0\neth0 5\n", "eth0 1", ["eth0 5"]),
        ("cgroup.subtree_control", "cpu io\n", "+cpu +pids -io -misc", ["+cpu -pids +io -misc"]),
    ],
)
def test_what_takes_a_file_back(file: str, text: str, line: str, back: list[str]) -> None:
    assert former(file, text, line) == back


def test_what_a_file_says_already_and_what_raises_it() -> None:
    assert says("100\n", "100")
    assert says("\n", "")
    assert not says("100\n", "10")
    assert [raises("100\n", line) for line in ("max", "101", "100", "99", "x")] == [
        *(True, True),
        *(False, False, False),
    ]
    assert not raises("max\n", "100")
    assert raises("5\n", "-1")
    assert not raises("max 100000\n", "5000 100000")
