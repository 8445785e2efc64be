"""A thousand containers one after the other: nothing is left of them, and none is slower.

What is looked at besides is the memory of the program and of its server, whose growth
nobody would see in a few starts.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

import pytest

import libct
from libct.bootstrap import servers
from libct.config import Cgroup, Resources
from libct.syscalls import bpf

from ..containers import NULL, PATH, make_config, state_directory, with_v2
from ..support import forked, requires, unique, wait_until

pytestmark = [
    requires("root", "busybox"),
    pytest.mark.usefixtures("nothing_left"),
    pytest.mark.longest(900),  # some 10 s on a machine that has nothing else to do
]

CYCLES = 1000
GROUP = 50  # cycles whose median is compared
SLOWER = 1.2
PATIENCE = 10  # groups more, on a machine that others make slow for a while

# Bytes, after the first group.  Python's cache of attributes grows by 160 KiB in a thousand.
GROWTH = 1 << 20


def cycle(config: libct.Config) -> tuple[float, list[int]]:
    """The seconds that a container takes, and the ids of its programs of device access."""
    start = time.perf_counter()
    with libct.create(state_directory(), unique(), config) as container:
        process = libct.Process(["true"], env=[PATH], init=True)
        container.start(process)
        looked = time.perf_counter()
        programs = device_programs(container)
        looked = time.perf_counter() - looked
        container.exec()
        assert process.wait().success
    return time.perf_counter() - start - looked, programs


def device_programs(container: libct.Container) -> list[int]:
    assert container.manager is not None
    if container.manager.version == 1:
        return []
    group = os.open(container.manager.directories()[0], os.O_RDONLY)
    try:
        return bpf.prog_query(group)[1]
    finally:
        os.close(group)


def is_loaded(program: int) -> bool:
    try:
        os.close(bpf.prog_get_fd_by_id(program))
    except FileNotFoundError:
        return False
    return True


def memory(pid: int) -> int:
    """The bytes of a process that are in memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


class Look:
    """What this program and its server have: descriptors, children, and memory in bytes."""

    def __init__(self) -> None:
        server = servers._servers[0]
        self.server = server.pid
        pids = (os.getpid(), server.pid)
        self.memory = list(map(memory, pids))
        self.counts = [len(os.listdir(f"/proc/{pid}/fd")) for pid in pids] + [
            len(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()) for pid in pids
        ]

    def has_no_more_than(self, other: Look) -> bool:
        return all(now <= then for now, then in zip(self.counts, other.counts))


def check_a_thousand() -> None:
    config = make_config(cgroups=Cgroup(resources=Resources(devices=[NULL.rule])))
    programs: list[int] = []

    def median() -> float:
        times = []
        for _ in range(GROUP):
            seconds, found = cycle(config)
            times.append(seconds)
            programs.extend(found)
        return statistics.median(times)

    usual = median()
    before = Look()
    medians = [median() for _ in range(CYCLES // GROUP - 1)]
    shown = ", ".join(f"{1000 * each:.1f}" for each in [usual, *medians])
    now = min(medians[-4:])
    for _ in range(PATIENCE):
        if now <= usual * SLOWER:
            break
        # The machine may have become slow: a program that begins now tells.
        usual = forked(median, timeout=300)
        now = median()
        shown += f"; {1000 * now:.1f}, and of a new program {1000 * usual:.1f}"
    assert now <= usual * SLOWER, f"medians of {GROUP} in ms: {shown}"
    assert wait_until(lambda: Look().has_no_more_than(before))
    after = Look()
    assert after.server == before.server
    grown = [now - then for then, now in zip(before.memory, after.memory)]
    print(f"medians of {GROUP} in ms: {shown}; bytes more: {grown}")
    assert max(grown) < GROWTH
    # The kernel frees them a moment after their groups.
    assert wait_until(lambda: not any(map(is_loaded, programs)))


@requires("cgroup1")
def test_a_thousand_with_v1() -> None:
    check_a_thousand()


@requires("cgroup2")
def test_a_thousand_with_v2() -> None:
    with_v2(check_a_thousand, timeout=600)
