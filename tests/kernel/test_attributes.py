"""Names, kernel parameters, limits and scheduling, as processes then see them."""

from __future__ import annotations

import errno
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from libct.attributes.procfs import open_proc, write_proc_file
from libct.bootstrap.context import Context
from libct.bootstrap.performer import find
from libct.config import Config, IOPriority, MemoryPolicy, Personality, Rlimit, Scheduler
from libct.errors import StepProblem
from libct.plan.labels import set_exec_label, set_exec_profile, set_key_label
from libct.plan.limits import oom_score_steps, rlimit_steps
from libct.plan.scheduling import affinity_steps, scheduling_steps
from libct.plan.sysctl import sysctl_steps, write_sysctl
from libct.plan.uts import uts_steps
from libct.syscalls import scheduling
from libct.syscalls.process import get_dumpable, set_dumpable

from ..support import (
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    forked,
    in_namespaces,
    mount,
    requires,
)

if TYPE_CHECKING:
    from pathlib import Path

    from libct.plan.step import Step

pytestmark = requires("root")

SOMEBODY = 65533  # an ordinary user's id, without an account
MS_BIND = 0x1000


def perform(steps: list[Step], context: Context | None = None) -> None:
    context = context or Context()
    if "proc" not in context.fds:
        open_proc(context)
    for step in steps:
        find(step.performer)(context, *step.args)


def read(path: str) -> str:
    with open(path) as file:
        return file.read().strip()


def become_somebody() -> None:
    os.setgroups([])
    os.setresgid(SOMEBODY, SOMEBODY, SOMEBODY)
    os.setresuid(SOMEBODY, SOMEBODY, SOMEBODY)


def test_names_are_set() -> None:
    def body() -> None:
        perform(uts_steps(Config(rootfs="/", hostname="box", domainname="example.org")))
        assert read("/proc/sys/kernel/hostname") == "box"
        assert read("/proc/sys/kernel/domainname") == "example.org"

    in_namespaces(CLONE_NEWUTS, body)


@pytest.mark.parametrize("flags", [CLONE_NEWNET, CLONE_NEWNET | CLONE_NEWUSER])
def test_parameters_of_the_network_namespace_are_set(flags: int) -> None:
    def body() -> None:
        sysctl = {"net.ipv4.ip_forward": "1", "net/ipv4/ping_group_range": "5 7"}
        perform(sysctl_steps(Config(rootfs="/", sysctl=sysctl)))
        assert read("/proc/sys/net/ipv4/ip_forward") == "1"
        assert read("/proc/sys/net/ipv4/ping_group_range").split() == ["5", "7"]

    in_namespaces(flags, body)


def test_a_parameter_that_is_refused_names_its_file() -> None:
    def body() -> None:
        with pytest.raises(OSError, match="Invalid argument") as caught:
            perform([write_sysctl("net/ipv4/ip_forward", "many")])
        assert caught.value.filename == "/proc/sys/net/ipv4/ip_forward"
        with pytest.raises(FileNotFoundError):
            perform([write_sysctl("net/ipv4/no_such", "1")])

    in_namespaces(CLONE_NEWNET, body)


def test_nothing_stands_in_for_a_parameter() -> None:
    def body() -> None:
        context = Context()
        open_proc(context)
        mount("/proc/sys/net/ipv4/ip_default_ttl", "/proc/sys/net/ipv4/ip_forward", "", MS_BIND)
        with pytest.raises(StepProblem, match="covered by another mount"):
            perform([write_sysctl("net/ipv4/ip_forward", "1")], context)
        mount("/proc/sys", "/proc", "", MS_BIND)
        with pytest.raises(StepProblem, match="not a proc file system"):
            open_proc(context)
        mount("tmpfs", "/proc", "tmpfs")
        with pytest.raises(StepProblem, match="not a proc file system"):
            open_proc(context)

    in_namespaces(CLONE_NEWNET | CLONE_NEWNS, body)


def test_a_parameter_is_not_reached_through_links() -> None:
    def body() -> None:
        with pytest.raises(OSError, match="ymbolic link") as caught:
            perform([write_sysctl("../self/oom_score_adj", "1")])
        assert caught.value.errno == errno.ELOOP

    forked(body)


def test_a_file_of_another_file_system_is_none_of_proc(tmp_path: Path) -> None:
    (tmp_path / "sys").mkdir()
    (tmp_path / "sys/parameter").write_text("as it was")
    other = os.open(tmp_path, os.O_PATH)
    with pytest.raises(StepProblem, match="/proc/sys/parameter is not on a proc file system"):
        write_proc_file(other, "sys/parameter", "1")
    os.close(other)
    assert (tmp_path / "sys/parameter").read_text() == "as it was"


def limits(pid: int | str) -> dict[str, list[str]]:
    """Name of /proc/PID/limits -> [soft, hard, unit]."""
    lines = read(f"/proc/{pid}/limits").splitlines()[1:]
    return {line[:26].strip(): line[26:].split() for line in lines}


def test_the_runtime_limits_the_process_it_has_cloned() -> None:
    child = subprocess.Popen(["sleep", "60"])
    try:
        context = Context()
        context.pid = child.pid
        perform(rlimit_steps([Rlimit(7, hard=200, soft=100)], own=False), context)
        perform(oom_score_steps(77, own=False), context)
        assert limits(child.pid)["Max open files"][:2] == ["100", "200"]
        assert read(f"/proc/{child.pid}/oom_score_adj") == "77"
        assert limits("self")["Max open files"][:2] != ["100", "200"]
        assert read("/proc/self/oom_score_adj") != "77"
    finally:
        child.kill()
        child.wait()
        os.close(context.fds["proc"])


def test_a_process_limits_itself() -> None:
    def body() -> None:
        perform(rlimit_steps([Rlimit(4, hard=0, soft=0)], own=True))
        assert limits("self")["Max core file size"][:2] == ["0", "0"]

    forked(body)


def test_a_limit_that_may_not_rise_says_what_is_needed() -> None:
    def body() -> None:
        perform(rlimit_steps([Rlimit(7, hard=100, soft=50)], own=True))
        become_somebody()
        with pytest.raises(PermissionError, match="RLIMIT_NOFILE") as caught:
            perform(rlimit_steps([Rlimit(7, hard=101, soft=50)], own=True))
        assert "CAP_SYS_RESOURCE" in getattr(caught.value, "hint", "")

    forked(body)


@pytest.mark.parametrize("dumpable", [True, False])
@pytest.mark.parametrize("flags", [0, CLONE_NEWUSER])
def test_an_ordinary_users_process_sets_its_own_oom_score(dumpable: bool, flags: int) -> None:
    def body() -> None:
        set_dumpable(dumpable)
        before = get_dumpable()
        perform(oom_score_steps(300))
        assert get_dumpable() == before
        assert read("/proc/self/oom_score_adj") == "300"
        with pytest.raises(PermissionError) as caught:
            perform(oom_score_steps(-1))
        assert "CAP_SYS_RESOURCE" in getattr(caught.value, "hint", "")
        assert get_dumpable() == before

    def as_somebody() -> None:
        become_somebody()
        set_dumpable(True)  # or nobody could write the maps
        in_namespaces(flags, body)

    forked(as_somebody)


def test_scheduling_is_inherited_by_what_is_executed() -> None:
    def body() -> None:
        perform(scheduling_steps(Scheduler(3, nice=5), IOPriority(2, 6), None, Personality(8)))
        child = subprocess.Popen(["sleep", "60"])
        try:
            assert os.sched_getscheduler(child.pid) == os.SCHED_BATCH
            assert os.getpriority(os.PRIO_PROCESS, child.pid) == 5
            who = (scheduling.IOPRIO_WHO_PROCESS, child.pid)
            assert scheduling.ioprio_get(*who) == 2 << 13 | 6
        finally:
            child.kill()
            child.wait()
        assert int(read("/proc/self/personality"), 16) == 8

    forked(body)


def test_the_32_bit_domain_changes_the_machines_name() -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("names of the 32-bit machine are checked on x86_64")

    def body() -> str:
        perform(scheduling_steps(None, None, None, Personality(8)))
        return subprocess.run(["uname", "-m"], capture_output=True, text=True, check=True).stdout

    assert forked(body) == "i686\n"


def test_the_memory_policy_is_set() -> None:
    def body() -> tuple[int, list[int]]:
        try:
            perform(scheduling_steps(None, None, MemoryPolicy(2, 1 << 15, [0]), None))
        except OSError as error:
            if error.errno == errno.ENOSYS:
                pytest.skip("a kernel without CONFIG_NUMA")
            raise
        return scheduling.get_mempolicy()

    assert forked(body) == (2 | 1 << 15, [0])


def test_a_real_time_policy_that_is_refused_says_what_is_needed() -> None:
    def body() -> None:
        become_somebody()
        with pytest.raises(PermissionError, match="SCHED_FIFO") as caught:
            perform(scheduling_steps(Scheduler(1, priority=1), None, None, None))
        assert "CAP_SYS_NICE" in getattr(caught.value, "hint", "")

    forked(body)


def test_affinity() -> None:
    last = max(os.sched_getaffinity(0))

    def body() -> set[int]:
        perform(affinity_steps([last], "initial"))
        return os.sched_getaffinity(0)

    assert forked(body) == {last}


LABELS = [
    (set_exec_profile("box"), "exec"),
    (set_exec_label("a:b:c"), "exec"),
    (set_key_label("a:b:c"), "keycreate"),
]


def lsm_is_on() -> bool:
    """Whether a security module takes what is written to attr/exec here."""
    try:
        return bool(read("/proc/thread-self/attr/current"))
    except OSError:
        return False


@pytest.mark.skipif(lsm_is_on(), reason="this kernel has a security module that takes labels")
@pytest.mark.parametrize(("step", "name"), LABELS)
def test_a_label_is_written_to_the_own_file_of_the_process(step: Step, name: str) -> None:
    """Without a security module the kernel refuses it, which is how one sees where it went."""

    def body() -> None:
        with pytest.raises(OSError, match="Invalid argument") as caught:
            perform([step])
        assert caught.value.filename == f"/proc/thread-self/attr/{name}"

    forked(body)


@pytest.mark.parametrize(("step", "name"), LABELS)
def test_nothing_stands_in_for_the_file_of_a_label(step: Step, name: str, tmp_path: Path) -> None:
    """An image's volume over /proc, and so no confinement, was CVE-2019-16884."""
    decoy = tmp_path / "decoy"
    decoy.write_text("as it was")

    def body() -> None:
        mount(str(decoy), f"/proc/thread-self/attr/{name}", "", MS_BIND)
        with pytest.raises(StepProblem, match="covered by another mount"):
            perform([step])
        mount("tmpfs", "/proc/thread-self/attr", "tmpfs")
        with pytest.raises(StepProblem, match="covered by another mount"):
            perform([step])

    in_namespaces(CLONE_NEWNS, body)
    assert decoy.read_text() == "as it was"


def test_a_handle_that_is_not_of_proc_takes_no_label(tmp_path: Path) -> None:
    attr = tmp_path / "thread-self/attr"
    (attr / "apparmor").mkdir(parents=True)
    for name in ("apparmor/exec", "exec", "keycreate"):
        (attr / name).write_text("as it was")
    other = os.open(tmp_path, os.O_PATH)
    try:
        for step, _ in LABELS:
            with pytest.raises(StepProblem, match="is not on a proc file system"):
                perform([step], Context({"proc": other}))
    finally:
        os.close(other)
    for name in ("apparmor/exec", "exec", "keycreate"):
        assert (attr / name).read_text() == "as it was"
