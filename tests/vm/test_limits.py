"""Limits of cgroup v2 with every controller there is: in their files, and in force."""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import libct
from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.cgroups import choose
from libct.cgroups.layout import detect
from libct.config import Cgroup, Device, DeviceRule, HugepageLimit, Resources
from libct.config.cgroup import Rdma, ThrottleDevice, WeightDevice
from libct.errors import CgroupError, ConfigError
from libct.syscalls.namespaces import clone3

from ..containers import NULL, make_config, run_in, running
from ..disks import loop_device, took, write_directly
from ..ledgers import ledger_of, remove_groups, with_ledger
from ..support import requires, unique, wait_until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from libct.cgroups.manager import Manager
    from libct.plan.step import Step

pytestmark = [
    requires("root"),
    pytest.mark.skipif("LIBCT_VM" not in os.environ, reason="not in a virtual machine of ours"),
]
only_v2 = pytest.mark.skipif(detect().mode != "v2", reason="this lane has cgroup v1")

MEGABYTE = 1 << 20
HUGE = 2 * MEGABYTE
GREEDY = "x=0123456789abcdef; while :; do x=$x$x; done"


def perform(planned: list[Step], context: Context) -> None:
    for step in planned:
        find(step.performer)(context, *step.args)


@contextlib.contextmanager
def group(resources: Resources | None = None, path: str = "") -> Iterator[Manager]:
    """A group with limits, at the top of the tree, where every controller is."""
    cgroup = Cgroup(path=path or f"/{unique()}", resources=resources or Resources())
    manager = choose.new(cgroup, "c", detect())
    assert manager.problems() == []
    context = with_ledger()
    try:
        perform(manager.create_steps(), context)
        ledger_of(context).release()
        yield manager
    finally:
        manager.kill()
        remove_groups(manager)


def inside(manager: Manager, body: Callable[[], object]) -> int:
    """A process cloned into the group that does body, and ends with its answer's truth."""
    context = Context()
    perform(manager.directory_steps(), context)
    pid, _ = clone3(0, signal.SIGCHLD, context.fds["cgroup"])
    if pid == 0:
        try:
            os._exit(0 if body() else 1)
        finally:
            os._exit(2)
    context.release("cgroup")
    return pid


def answer(pid: int) -> int:
    """How a process ended: its exit status, or minus the signal."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def said(manager: Manager, file: str) -> str:
    return Path(manager.paths()[""], file).read_text().strip()


# --- in their files ---


@only_v2
def test_each_limit_is_what_its_file_says() -> None:
    resources = Resources(
        memory=64 * MEGABYTE,
        memory_swap=96 * MEGABYTE,
        memory_reservation=32 * MEGABYTE,
        memory_oom_group=True,
        cpu_shares=512,
        cpu_quota=50000,
        cpu_period=100000,
        cpu_burst=1000,
        cpuset_cpus="0",
        cpuset_mems="0",
        pids_limit=99,
        hugetlb_limit=[HugepageLimit("2MB", 3 * HUGE)],
        unified={
            "memory.high": str(48 * MEGABYTE),
            "memory.min": str(MEGABYTE),
            "cgroup.max.depth": "5",
        },
    )
    expected = {
        "memory.max": 64 * MEGABYTE,
        "memory.swap.max": 32 * MEGABYTE,
        "memory.low": 32 * MEGABYTE,
        "memory.oom.group": 1,
        "memory.high": 48 * MEGABYTE,
        "memory.min": MEGABYTE,
        "cpu.weight": 59,
        "cpu.max": "50000 100000",
        "cpu.max.burst": 1000,
        "cpuset.cpus": 0,
        "cpuset.mems": 0,
        "pids.max": 99,
        "hugetlb.2MB.max": 3 * HUGE,
        "hugetlb.2MB.rsvd.max": 3 * HUGE,
        "cgroup.max.depth": 5,
    }
    with group(resources) as manager:
        assert {file: said(manager, file) for file in expected} == {
            file: str(value) for file, value in expected.items()
        }
        manager.set(Resources(cpu_idle=1, skip_devices=True))
        assert said(manager, "cpu.idle") == "1"
        manager.set(Resources(memory=-1, pids_limit=-1, cpu_quota=-1, skip_devices=True))
        for file, value in (
            ("memory.max", "max"),
            ("memory.swap.max", "max"),
            ("pids.max", "max"),
            ("cpu.max", "max 100000"),
        ):
            assert said(manager, file) == value


@only_v2
def test_block_io_is_weighed() -> None:
    subprocess.run(["modprobe", "bfq"], check=True)
    with loop_device("bfq") as (_, major, minor):
        weights = [WeightDevice(major, minor, 200)]
        with group(Resources(blkio_weight=300, blkio_weight_device=weights)) as manager:
            assert said(manager, "io.bfq.weight") == f"default 300\n{major}:{minor} 200"
            # io.cost's weight, where a kernel has no other; it weighs devices that it is on for.
            first, *_ = manager.limit_steps(manager.cgroup.resources)
            file, value = first.args[1][1]
            assert file == "io.weight"
            Path(manager.paths()[""], file).write_text(value)
            assert said(manager, "io.weight") == "default 2930"


@only_v2
def test_writes_are_throttled() -> None:
    with loop_device() as (device, major, minor):
        throttles = [ThrottleDevice(major, minor, 1 << 19)]
        resources = Resources(
            blkio_throttle_write_bps_device=throttles,
            blkio_throttle_read_iops_device=[ThrottleDevice(major, minor, 100)],
            devices=[DeviceRule("b", major, minor)],
        )
        with group(resources) as manager:
            assert said(manager, "io.max") == (
                f"{major}:{minor} rbps=max wbps=524288 riops=100 wiops=max"
            )

            def write() -> None:
                assert answer(inside(manager, lambda: write_directly(device, 3 << 20))) == 0

            slow = took(write)
            assert slow > 5, slow
            manager.set(
                resources.copy(blkio_throttle_write_bps_device=[ThrottleDevice(major, minor, 0)])
            )
            assert min(took(write) for _ in range(4)) < slow - 2


@only_v2
def test_misc_and_rdma_are_reached() -> None:
    """Without such devices here: the kernel knows none of their names."""
    with group() as manager:
        for resources, place, why in (
            (Resources(rdma={"mlx5_0": Rdma(2, 3)}), "rdma.mlx5_0", "there is no RDMA device"),
            (Resources(unified={"misc.max": "nothing 5"}), "unified.misc.max", "Invalid argument"),
        ):
            with pytest.raises(CgroupError, match=why) as caught:
                manager.set(resources.copy(skip_devices=True))
            assert str(caught.value).endswith(f"[from linux.resources.{place}]")


# --- in force ---


def config(**limits: Any) -> libct.Config:
    resources = Resources(**limits)
    return make_config(cgroups=Cgroup(path=f"/{unique()}", resources=resources))


def test_a_process_over_memory_is_killed_and_told() -> None:
    with running(config(memory=32 * MEGABYTE, memory_swap=32 * MEGABYTE)) as container:
        with container.oom_events() as events:
            done = run_in(container, "sh", "-c", GREEDY)
            assert done.state.status == 128 + signal.SIGKILL
            assert next(events) >= 1
        assert container.status() == "running"


@only_v2
def test_a_group_out_of_memory_ends_as_a_whole() -> None:
    limits: dict[str, Any] = {"memory": 32 * MEGABYTE, "memory_swap": 32 * MEGABYTE}
    with running(config(**limits, memory_oom_group=True)) as container:
        run_in(container, "sh", "-c", GREEDY)
        assert wait_until(lambda: container.status() == "stopped", patience=60)


def test_the_eleventh_of_ten_processes_fails() -> None:
    script = "for n in 3 4 5 6 7 8 9 10 11 12; do sleep 5 & echo $n; done"
    with running(config(pids_limit=10)) as container:
        done = run_in(container, "sh", "-c", script)
    *started, refused = done.lines
    assert started == ["3", "4", "5", "6", "7", "8", "9", "10"]
    assert "can't fork" in refused


def test_a_quota_is_kept() -> None:
    """By the kernel's own periods: the clock of an emulated machine may go wrong."""
    busy = ("sh", "-c", "while :; do :; done")
    with running(config(cpu_quota=20000, cpu_period=100000), *busy) as container:
        time.sleep(2)
        before, start = used(container), periods(container)
        assert wait_until(lambda: periods(container) > start + 50, patience=120)
        share = (used(container) - before) / (0.1 * (periods(container) - start))
    assert 0.2 * 0.85 < share < 0.2 * 1.15, share


def periods(container: libct.Container) -> int:
    """How many have gone by in which there was something to run."""
    found = container.stats().cgroup_stats
    assert found is not None
    assert found.cpu_stats is not None
    assert found.cpu_stats.throttling_data is not None
    number: int = found.cpu_stats.throttling_data.periods
    return number


def used(container: libct.Container) -> float:
    """Seconds of processor time."""
    found = container.stats().cgroup_stats
    assert found is not None
    assert found.cpu_stats is not None
    assert found.cpu_stats.cpu_usage is not None
    total: int = found.cpu_stats.cpu_usage.total_usage
    return total / 1e9


def test_a_frozen_container_does_not_advance() -> None:
    busy = ("sh", "-c", "while :; do :; done")
    with running(config(), *busy) as container:
        time.sleep(1)
        container.pause()
        before = used(container)
        time.sleep(2)
        assert used(container) == before
        container.resume()
        assert wait_until(lambda: used(container) > before)


def test_a_device_that_is_denied() -> None:
    made = config(devices=[DeviceRule(allow=False)])
    made.devices = [NULL, Device("/dev/kmsg", "c", 1, 11)]
    with running(made) as container:
        done = run_in(container, "cat", "/dev/kmsg")
    assert "cat: can't open '/dev/kmsg': Operation not permitted" in done.output


@only_v2
def test_huge_pages_are_counted() -> None:
    count = Path("/proc/sys/vm/nr_hugepages")
    before = count.read_text()
    count.write_text("4")
    try:
        with group(Resources(hugetlb_limit=[HugepageLimit("2MB", HUGE)])) as manager:

            def reserve(pages: int) -> bool:
                flags = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x40000  # MAP_HUGETLB
                try:
                    mmap.mmap(-1, pages * HUGE, flags=flags)
                except OSError as error:
                    return error.errno == errno.ENOMEM and pages > 1
                return pages == 1

            assert answer(inside(manager, lambda: reserve(1))) == 0
            assert answer(inside(manager, lambda: reserve(2))) == 0
    finally:
        count.write_text(before)


# --- bad input ---


@only_v2
def test_nothing_is_changed_where_one_limit_is_refused() -> None:
    before = Resources(
        memory=64 * MEGABYTE,
        memory_swap=64 * MEGABYTE,
        cpu_quota=50000,
        pids_limit=20,
        unified={"memory.high": str(60 * MEGABYTE)},
    )
    with group(before) as manager:
        files = [
            path
            for path in Path(manager.paths()[""]).iterdir()
            if path.name.endswith(("max", "low", "high", "min", "weight", "idle", "cpus", "group"))
        ]
        present = {path.name: path.read_text() for path in files}
        asked = Resources(
            memory=128 * MEGABYTE,
            memory_swap=256 * MEGABYTE,
            memory_reservation=MEGABYTE,
            memory_oom_group=True,
            cpu_shares=77,
            cpu_quota=20000,
            cpuset_cpus="0",
            pids_limit=9,
            devices=[DeviceRule("c", 1, 12, "r")],
        )
        refused: list[tuple[dict[str, Any], str]] = [
            ({"unified": {"memory.high": "7", "memory.nonsense": "1"}}, "does not have memory.non"),
            ({"hugetlb_limit": [HugepageLimit("3MB", 1)]}, "the page sizes here are .*2MB"),
            ({"cpu_idle": 7}, "it takes 0 or 1"),
            ({"cpuset_cpus": "4000"}, "use numbers that the group above has"),
            (
                {"blkio_throttle_write_bps_device": [ThrottleDevice(4095, 1, 5)]},
                "there is no block device of these numbers",
            ),
        ]
        for last, why in refused:
            with pytest.raises(CgroupError, match=why) as caught:
                manager.set(asked.copy(**last), before)
            assert not hasattr(caught.value, "__notes__")
            assert {path.name: path.read_text() for path in files} == present

        def fail() -> None:
            assert said(manager, "pids.max") == "9"
            raise CgroupError("the end")

        with pytest.raises(CgroupError, match="the end"):
            manager.set(asked, before, fail)
        assert {path.name: path.read_text() for path in files} == present


@only_v2
def test_a_limit_that_is_used_up_is_refused_where_that_is_asked_for() -> None:
    resources = Resources(memory=64 * MEGABYTE, skip_devices=True)
    with group(resources) as manager:

        def hold() -> None:
            used = bytearray(16 * MEGABYTE)
            time.sleep(100)
            used.clear()

        pid = inside(manager, hold)
        assert wait_until(lambda: int(said(manager, "memory.current")) > 16 * MEGABYTE, patience=60)
        asked = resources.copy(memory=8 * MEGABYTE, memory_check_before_update=True)
        with pytest.raises(CgroupError, match="more than the new limit of 8388608"):
            manager.set(asked)
        assert said(manager, "memory.max") == str(64 * MEGABYTE)
        os.kill(pid, signal.SIGKILL)
        answer(pid)


@only_v2
def test_a_controller_that_is_not_there() -> None:
    made = config(unified={"memori.max": "5"})
    with pytest.raises(ConfigError, match="cgroup v2 has no memori controller here"):
        libct.create("/run/libct-test", unique(), made).run(
            libct.Process(["true"], init=True, env=["PATH=/bin"])
        )
