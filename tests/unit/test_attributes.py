"""Plans of names, kernel parameters, limits and scheduling; the forms of a sysctl key."""

from __future__ import annotations

import pytest

from libct.config import Config, IOPriority, MemoryPolicy, Personality, Rlimit, Scheduler
from libct.config.sysctl import sysctl_path
from libct.errors import ConfigError
from libct.plan.limits import oom_score_steps, rlimit_steps
from libct.plan.scheduling import affinity_steps, scheduling_steps
from libct.plan.sysctl import sysctl_steps
from libct.plan.uts import uts_steps

INFINITY = (1 << 64) - 1


def test_names_that_are_set() -> None:
    steps = uts_steps(Config(rootfs="/r", hostname="box", domainname="example.org"))
    assert [(step.title, step.calls, step.why) for step in steps] == [
        ("set the hostname to box", ['sethostname("box")'], "hostname"),
        ("set the domain name to example.org", ['setdomainname("example.org")'], "domainname"),
    ]


def test_names_that_are_empty_stay_as_they_are() -> None:
    assert uts_steps(Config(rootfs="/r")) == []


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/ip_forward", "net/ipv4/ip_forward"),
        ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ("plain", "plain"),
    ],
)
def test_the_first_separator_of_a_key_decides(key: str, path: str) -> None:
    assert sysctl_path(key) == path


@pytest.mark.parametrize(
    "key",
    [
        "",
        ".",
        "/",
        "..",
        "net..ipv4",
        "net/../kernel/x",
        "/net",
        "net.",
        "net/./x",
        "a\0b",
        "a.//.b",
    ],
)
def test_a_key_that_is_no_path_below_sys_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match="not a kernel parameter"):
        sysctl_path(key)


def test_a_parameter_is_opened_below_the_hosts_proc() -> None:
    (step,) = sysctl_steps(Config(rootfs="/r", sysctl={"net.ipv4.ip_forward": "1"}))
    assert step.title == "write 1 to /proc/sys/net/ipv4/ip_forward"
    assert step.why == "linux.sysctl.net.ipv4.ip_forward"
    assert step.calls == [
        'openat2("sys/net/ipv4/ip_forward", O_WRONLY|O_CLOEXEC, RESOLVE_BENEATH|RESOLVE_NO_XDEV)',
        "fstatfs(PROC_SUPER_MAGIC)",
        'write("1")',
    ]


def test_a_bad_parameter_names_its_place() -> None:
    with pytest.raises(ConfigError, match=r"^linux\.sysctl\.net\.\.x: not a kernel parameter"):
        sysctl_steps(Config(rootfs="/r", sysctl={"net..x": "1"}))


@pytest.mark.parametrize(("own", "op"), [(True, "set_own_rlimit"), (False, "set_rlimit")])
def test_limits_by_either_process(own: bool, op: str) -> None:
    rlimits = [Rlimit(7, hard=4096, soft=1000), Rlimit(4, hard=INFINITY, soft=0)]
    steps = rlimit_steps(rlimits, own=own)
    assert [(step.op, step.args, step.why, step.calls) for step in steps] == [
        (
            op,
            ("RLIMIT_NOFILE", 7, 1000, 4096),
            "process.rlimits[0]",
            ["prlimit64(RLIMIT_NOFILE, {rlim_cur=1000, rlim_max=4*1024})"],
        ),
        (
            op,
            ("RLIMIT_CORE", 4, 0, INFINITY),
            "process.rlimits[1]",
            ["prlimit64(RLIMIT_CORE, {rlim_cur=0, rlim_max=RLIM64_INFINITY})"],
        ),
    ]


def test_a_limit_without_a_name_has_its_number() -> None:
    (step,) = rlimit_steps([Rlimit(99, hard=1, soft=1)], own=False)
    assert step.title == "set resource limit 99 to 1 (hard limit 1)"
    assert step.calls == ["prlimit64(99, {rlim_cur=1, rlim_max=1})"]


def test_the_oom_score_by_either_process() -> None:
    assert oom_score_steps(None) == []
    (own,), (other,) = oom_score_steps(0), oom_score_steps(-5, own=False)
    assert (own.op, own.args, own.why) == ("set_own_oom_score_adj", (0,), "process.oomScoreAdj")
    assert (other.op, other.args) == ("set_oom_score_adj", (-5,))
    assert other.calls[-1] == 'write("-5")'


def test_what_is_not_given_is_not_set() -> None:
    assert scheduling_steps(None, None, None, None) == []
    assert affinity_steps(None, "initial") == affinity_steps([], "final") == []


def test_scheduling_is_shown_by_name() -> None:
    steps = scheduling_steps(
        Scheduler(policy=3, nice=5, flags=1),
        IOPriority(class_=2, priority=4),
        MemoryPolicy(mode=2, flags=1 << 15, nodes=[0, 2]),
        Personality(domain=8),
    )
    assert {step.why: step.calls for step in steps} == {
        "process.scheduler": [
            (
                "sched_setattr(0, {sched_policy=SCHED_BATCH,"
                " sched_flags=SCHED_FLAG_RESET_ON_FORK, sched_nice=5, sched_priority=0}, 0)"
            )
        ],
        "process.ioPriority": [
            "ioprio_set(IOPRIO_WHO_PROCESS, 0, IOPRIO_PRIO_VALUE(IOPRIO_CLASS_BE, 4))"
        ],
        "linux.memoryPolicy": ["set_mempolicy(MPOL_BIND|MPOL_F_STATIC_NODES, nodes [0, 2])"],
        "linux.personality": ["personality(PER_LINUX32)"],
    }


def test_a_deadline_shows_its_times() -> None:
    (step,) = scheduling_steps(Scheduler(6, runtime=1, deadline=2, period=3), None, None, None)
    assert "sched_runtime=1, sched_deadline=2, sched_period=3" in step.calls[0]


def test_affinity() -> None:
    (step,) = affinity_steps([0, 3], "final")
    assert (step.args, step.why) == (((0, 3),), "process.execCPUAffinity.final")
    assert step.calls == ["sched_setaffinity(0, [0 3])"]
