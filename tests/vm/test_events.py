"""Statistics and events where every controller of cgroup v2 is there, and an OOM killer to try."""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import libct
from libct.cgroups.layout import detect
from libct.config import Cgroup, Device, Resources

from ..containers import NULL, PATH, make_config, run_in, running
from ..support import (
    as_user,
    busybox_rootfs,
    give_to_user,
    libct as command_line,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    run,
    unique,
    user_account,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [requires("vm", "root", "busybox"), pytest.mark.usefixtures("nothing_left")]

MEGABYTE = 1 << 20
ZERO = Device("/dev/zero", "c", 1, 5)
SMALL = {"memory": 24 * MEGABYTE, "memory_swap": 24 * MEGABYTE}
# Keeps more than there is in memory.
GREEDY = "head -c 60000000 /dev/zero | tail -c 50000000 >/dev/null"


@pytest.fixture
def v2() -> None:
    if detect().mode != "v2":
        pytest.skip("this lane has cgroup v1")


def config(**limits: object) -> libct.Config:
    resources = Resources(devices=[ZERO.rule, NULL.rule], **limits)  # type: ignore[arg-type]
    return make_config(cgroups=Cgroup(resources=resources), devices=[NULL, ZERO])


def group_of(container: libct.Container) -> Path:
    assert container.manager is not None
    return Path(container.manager.directories()[0])


# --- the OOM killer ---


def test_a_process_over_its_memory_is_killed_and_told_of() -> None:
    with running(config(**SMALL)) as container, container.oom_events() as events:
        for _ in range(2):
            assert run_in(container, "sh", "-c", GREEDY).state.status == 128 + signal.SIGKILL
            # v1 counts how often there was none left, which is several times for one.
            count = next(events)
            assert count == 1 if container.manager.version == 2 else count >= 1  # type: ignore[union-attr]
        assert container.manager is not None
        kills = container.manager.oom_kill_count()
        assert kills == 2 if container.manager.version == 2 else kills >= 2
        assert container.status() == "running"


@pytest.mark.parametrize("others", [0, 20])
def test_a_group_that_is_killed_as_a_whole_is_one_event(v2: None, others: int) -> None:
    script = "for i in $(seq $0); do sleep 1000 & done; exec sleep 1000"
    with running(config(**SMALL), "sh", "-c", script, str(others)) as container:
        assert wait_until(lambda: len(container.processes()) == others + 1, patience=60)
        (group_of(container) / "memory.oom.group").write_text("1")
        with container.oom_events() as events:
            greedy = libct.Process(["sh", "-c", GREEDY], env=[PATH])
            container.run(greedy)
            assert sum(events) == 1
            assert events.ended
        assert greedy.wait(60).signal == signal.SIGKILL
        # A process leaves its group a moment before it has ended.
        assert wait_until(lambda: container.status() == "stopped")


# --- pressure ---


@contextlib.contextmanager
def throttled(container: libct.Container) -> Iterator[None]:
    """Meanwhile a process in it has more memory than it should, and waits for it."""
    (group_of(container) / "memory.high").write_text(str(8 * MEGABYTE))
    process = libct.Process(["sh", "-c", GREEDY], env=[PATH])
    container.run(process)
    try:
        yield
    finally:
        container.signal(signal.SIGKILL)
        process.wait(60)


def test_pressure_by_level(v2: None) -> None:
    """Of a container whose only other process sleeps, all wait when one does."""
    with running(config()) as container, contextlib.ExitStack() as opened:
        watched = {
            level: opened.enter_context(container.memory_pressure_events(level))
            for level in ("low", "medium", "critical")
        }
        assert not sum(events.take() for events in watched.values())
        with throttled(container):
            for level, events in watched.items():
                assert next(events) == 1, level
        for events in watched.values():
            assert sum(events) <= 1  # since we have looked
            assert events.ended


def test_pressure_for_an_ordinary_user(v2: None, user_path: Path) -> None:
    """In a group of the user's own.  Debian 12's kernel has that from Linux 6.5."""
    account = user_account()
    run(["loginctl", "enable-linger", account.pw_name], check=True)
    runtime = f"/run/user/{account.pw_uid}"
    assert wait_until(lambda: Path(runtime, "bus").exists(), patience=120)
    env = {**libct_environment(user=True), "XDG_RUNTIME_DIR": runtime}
    bundle = make_bundle(user_path, rootless=True, args=["sleep", "1000"])
    give_to_user(user_path)
    name = unique()
    create = libct_command("run", "-d", "-b", bundle, name, user=True)
    watch = libct_command("events", "--pressure", "low", "--interval", "100ms", name, user=True)
    kill = libct_command("kill", name, "KILL", user=True)
    script = f"{' '.join(create)} || exit 99; (sleep 10; {' '.join(kill)}) & {' '.join(watch)}"
    scope = ["systemd-run", "--user", "--scope", "--quiet", "-p", "Delegate=yes"]
    try:
        done = as_user(*scope, "sh", "-c", script, env=env, timeout=300)
    finally:
        command_line("delete", "--force", name, user=True, env=env, check=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert '{"type":"stats"' in done.stdout


# --- statistics ---

# Uses a bit of everything, and then sleeps.
BUSY = """
x=$(head -c 20000000 /dev/zero | tr '\\0' x)
i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done
dd if=/dev/zero of=/big bs=1M count=8 conv=fsync 2>/dev/null
rm /big
sleep 1001; :
"""


@pytest.fixture
def found() -> Iterator[libct.CgroupStats]:
    limits = {
        "memory": 64 * MEGABYTE,
        "memory_swap": 64 * MEGABYTE,
        "pids_limit": 30,
        "cpu_quota": 50_000,
        "cpu_period": 100_000,
        "cpuset_cpus": "0",
    }
    made = config(**limits)
    # On a disk, which /tmp need not be.
    with tempfile.TemporaryDirectory(prefix=unique(), dir="/var/tmp") as disk:
        made.rootfs = str(busybox_rootfs(Path(disk)))
        with running(made, "sh", "-c", BUSY) as container:
            assert wait_until(lambda: _sleeps(container), patience=120)
            yield container.stats().cgroup_stats


def _sleeps(container: libct.Container) -> bool:
    for pid in container.processes():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has ended
            if Path(f"/proc/{pid}/comm").read_text() == "sleep\n":
                return True
    return False


def test_statistics_of_every_controller(found: libct.CgroupStats) -> None:
    two = detect().mode == "v2"
    cpu, memory, pids, blkio = (
        found.cpu_stats,
        found.memory_stats,
        found.pids_stats,
        found.blkio_stats,
    )
    assert cpu is not None
    assert cpu.cpu_usage is not None
    assert cpu.throttling_data is not None
    assert cpu.burst_data is not None
    usage = cpu.cpu_usage
    assert 50_000_000 < usage.total_usage < 100_000_000_000  # nanoseconds
    parts = usage.usage_in_usermode + usage.usage_in_kernelmode
    assert parts == pytest.approx(usage.total_usage, rel=0.2)
    assert len(usage.percpu_usage) == (0 if two else os.cpu_count())
    assert 0 < cpu.throttling_data.throttled_periods <= cpu.throttling_data.periods
    assert cpu.throttling_data.throttled_time > 10_000_000
    assert cpu.burst_data.bursts_periods == 0  # none is allowed

    assert memory is not None
    assert memory.usage is not None
    assert 20_000_000 < memory.usage.usage < 64 * MEGABYTE
    assert memory.usage.max_usage is not None  # Linux 5.19
    assert memory.usage.usage <= memory.usage.max_usage <= 64 * MEGABYTE
    assert memory.usage.limit == 64 * MEGABYTE
    assert memory.stats["anon" if two else "total_rss"] > 20_000_000
    assert memory.swap_usage is not None
    assert memory.swap_only_usage is not None
    assert memory.swap_usage.limit == 64 * MEGABYTE
    assert memory.swap_only_usage.usage == 0
    assert (memory.kernel_usage is None) == two
    assert (memory.page_usage_by_numa is None) == two

    assert pids is not None
    assert (pids.current, pids.limit) == (2, 30)

    assert blkio is not None
    if two:  # v1 has not charged what is written back
        written = [one for one in blkio.io_service_bytes_recursive if one.op == "Write"]
        assert sum(one.value for one in written) >= 8 * MEGABYTE
        requests = [one for one in blkio.io_serviced_recursive if one.op == "Write"]
        assert 0 < sum(one.value for one in requests) < 10_000

    assert {size: used.usage for size, used in found.hugetlb_stats.items()}["2MB"] == 0
    assert (found.cpuset_stats is None) == two
    if found.cpuset_stats is not None:
        assert found.cpuset_stats.cpus == [0]

    for part in (cpu, memory, blkio):
        assert (part.psi is not None) == two
    if two:
        assert cpu.psi is not None
        assert cpu.psi.some.total > 0  # it has waited for its quota
