"""Statistics of real containers: what they have used is what they are said to have used."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

import libct
from libct.config import Cgroup, Device, Resources

from ..containers import NULL, PATH, make_config, run_in, running, state_directory, with_v2
from ..support import requires, unique, wait_until

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MEGABYTE = 1 << 20
ZERO = Device("/dev/zero", "c", 1, 5)


def config(**limits: object) -> libct.Config:
    resources = Resources(devices=[ZERO.rule, NULL.rule], **limits)  # type: ignore[arg-type]
    return make_config(cgroups=Cgroup(resources=resources), devices=[NULL, ZERO])


def _sleeping(container: libct.Container) -> int:
    """How many of its processes execute sleep."""
    names = [Path(f"/proc/{pid}/comm").read_text() for pid in container.processes()]
    return names.count("sleep\n")


def cgroup_stats(container: libct.Container) -> libct.CgroupStats:
    return container.stats().cgroup_stats


# --- v1 ---


@requires("cgroup1")
def test_memory_that_is_used_and_limits() -> None:
    limits = {"memory": 64 * MEGABYTE, "memory_swap": 96 * MEGABYTE, "pids_limit": 30}
    script = "x=$(head -c 20000000 /dev/zero | tr '\\0' x); sleep 60 & sleep 61 & wait"
    with running(config(**limits), "sh", "-c", script) as container:
        assert wait_until(lambda: _sleeping(container) == 2, patience=60)
        found = cgroup_stats(container)
        memory, pids = found.memory_stats, found.pids_stats
        assert memory is not None
        assert memory.usage is not None
        assert pids is not None
        assert 20_000_000 <= memory.usage.usage <= 64 * MEGABYTE
        assert memory.usage.max_usage is not None
        assert memory.usage.max_usage >= memory.usage.usage
        assert memory.usage.limit == 64 * MEGABYTE
        assert memory.stats["total_rss"] >= 20_000_000
        if memory.swap_usage is not None:  # swap may not be counted
            assert memory.swap_usage.limit == 96 * MEGABYTE
            assert memory.swap_usage.usage >= memory.usage.usage - MEGABYTE
        if memory.page_usage_by_numa is not None:
            pages = memory.page_usage_by_numa.anon
            assert pages.total * os.sysconf("SC_PAGE_SIZE") >= 20_000_000
            assert sum(pages.nodes.values()) == pages.total
        assert (pids.current, pids.limit) == (3, 30)


@requires("cgroup1")
def test_processor_time_and_its_quota() -> None:
    limits = {"cpu_quota": 20_000, "cpu_period": 100_000}
    with running(config(**limits), "sh", "-c", "while :; do :; done") as container:
        time.sleep(1)
        cpu = cgroup_stats(container).cpu_stats
    assert cpu is not None
    assert cpu.cpu_usage is not None
    assert cpu.throttling_data is not None
    assert 50_000_000 < cpu.cpu_usage.total_usage < 900_000_000
    # The kernel adds them up at another moment.
    assert sum(cpu.cpu_usage.percpu_usage) == pytest.approx(cpu.cpu_usage.total_usage, rel=0.2)
    assert len(cpu.cpu_usage.percpu_usage_in_usermode) == len(cpu.cpu_usage.percpu_usage)
    assert 3 <= cpu.throttling_data.throttled_periods <= cpu.throttling_data.periods <= 12
    assert cpu.throttling_data.throttled_time > 100_000_000


@requires("cgroup1")
def test_the_cpuset() -> None:
    last = max(os.sched_getaffinity(0))
    with running(config(cpuset_cpus=str(last), cpuset_mems="0")) as container:
        cpuset = cgroup_stats(container).cpuset_stats
    assert cpuset is not None
    assert (cpuset.cpus, cpuset.mems, cpuset.sched_load_balance) == ([last], [0], 1)


@requires("cgroup1")
def test_another_program_sees_the_same_and_after_the_end() -> None:
    made = config()
    with libct.create(state_directory(), unique(), made) as container:
        with pytest.raises(libct.ContainerNotRunning, match="cannot show the statistics"):
            container.stats()
        assert run_in(container, "sh", "-c", "x=$(seq 100000)", init=True).state.success
        assert container.status() == "stopped"
        after = cgroup_stats(libct.load(state_directory(), container.id))
        assert after.memory_stats is not None
        assert after.memory_stats.usage is not None
        assert after.memory_stats.usage.max_usage
        assert after.pids_stats is not None
        assert after.pids_stats.current == 0
        # Memory that files are cached in may go meanwhile.
        assert after.cpu_stats == cgroup_stats(container).cpu_stats


def test_a_container_without_groups() -> None:
    message = "cannot show the statistics .* no control group"
    with running(make_config()) as container, pytest.raises(libct.Error, match=message):
        container.stats()


# --- v2 ---


def group_of(container: libct.Container) -> str:
    assert container.manager is not None
    return container.manager.directories()[0]


@requires("cgroup2")
def test_v2() -> None:
    """What can be counted with the controllers that there are, or with none."""

    def body() -> None:
        script = "i=0; while [ $i -lt 100000 ]; do i=$((i+1)); done; sleep 60 & sleep 61 & wait"
        with running(config(), "sh", "-c", script) as container:
            assert wait_until(lambda: _sleeping(container) == 2, patience=60)
            found = cgroup_stats(container)
            available = Path(group_of(container), "cgroup.controllers").read_text().split()
        assert found.cpu_stats is not None
        usage = found.cpu_stats.cpu_usage
        assert usage is not None
        assert usage.total_usage > 10_000_000
        assert usage.usage_in_usermode + usage.usage_in_kernelmode == pytest.approx(
            usage.total_usage, abs=10_000
        )
        assert found.pids_stats is not None
        assert found.pids_stats.current == 3
        counted = found.memory_stats is not None and found.memory_stats.usage is not None
        assert counted == ("memory" in available)
        assert bool(found.hugetlb_stats) == ("hugetlb" in available)
        assert found.cpuset_stats is None

    with_v2(body)


@requires("cgroup2")
def test_v2_processes_of_groups_below_count() -> None:
    """Also without the pids controller, which has no place beside processes."""

    def body() -> None:
        with running(config()) as container:
            below = Path(group_of(container), "below")
            below.mkdir()
            process = libct.Process(["sleep", "60"], env=[PATH])
            container.run(process)
            (below / "cgroup.procs").write_text(str(process.pid))
            pids = cgroup_stats(container).pids_stats
            assert pids is not None
            assert pids.current == 2

    with_v2(body)


def pressures(container: libct.Container) -> list[bool]:
    """Whether that of CPUs, memory, and input and output is told."""
    found = cgroup_stats(container)
    return [
        part is not None and part.psi is not None
        for part in (found.cpu_stats, found.memory_stats, found.blkio_stats)
    ]


@requires("cgroup2")
def test_v2_pressure_is_given_where_it_is_measured() -> None:
    def body() -> None:
        with running(config()) as container:
            directory = group_of(container)
            measured = os.path.exists(f"{directory}/cpu.pressure")
            assert pressures(container) == [measured] * 3
            if os.path.exists(f"{directory}/cgroup.pressure"):
                Path(directory, "cgroup.pressure").write_text("0")
                assert pressures(container) == [False] * 3

    with_v2(body)


@requires("cgroup1", "cgroup2", "psi")
def test_pressure_in_a_hybrid_layout() -> None:
    """Which has groups of v2, too."""
    with running(config()) as container:
        assert container.manager is not None
        assert pressures(container) == ["" in container.manager.paths()] * 3
