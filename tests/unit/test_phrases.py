"""runc's phrases at the beginning of errors, by the plans of starts."""

from __future__ import annotations

import errno
import os
from typing import Any

import pytest

from libct.bootstrap.failure import Failure
from libct.bootstrap.started import step_error
from libct.cgroups import choose
from libct.cgroups.layout import Hierarchy, Layout
from libct.config import (
    Cgroup,
    Config,
    Hook,
    Hooks,
    IDMap,
    Mount,
    MountIDMapping,
    Namespace,
    Resources,
)
from libct.config.mount_flags import MS_BIND, MS_RDONLY, MS_REMOUNT
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.container import plan_start
from libct.plan.scheduling import set_memory_policy
from libct.plan.step import INIT, Plan, Step

ROOT = "/sys/fs/cgroup"
V1 = Layout(
    "v1",
    {
        name: Hierarchy(f"{ROOT}/{directory}")
        for name, directory in {
            **dict.fromkeys(("cpu", "cpuacct"), "cpu,cpuacct"),
            **{name: name for name in ("cpuset", "devices", "freezer", "memory", "pids")},
        }.items()
    },
)
V2 = Layout(
    "v2", unified=Hierarchy(ROOT, own="/user"), v2_controllers=("cpu", "cpuset", "memory", "pids")
)


def said(plan: Plan, number: int, code: int | None = errno.EACCES) -> str:
    """What goes before our own words where this step fails."""
    error = step_error(plan, Failure(number, code, "call()", "it is wrong", None, "do that"), [])
    before, found, after = str(error).partition(f"cannot {plan.steps[number - 1].title}: ")
    assert found
    assert "call(): it is wrong (do that)" in after
    assert before == (error.opening and f"{error.opening}: ")
    return error.opening


MOUNTS = [
    Mount("/proc", "proc", "proc"),
    Mount("/mnt/bind", "/some/where", "bind", MS_BIND),
    Mount("/mnt/bind", "", "", MS_BIND | MS_REMOUNT | MS_RDONLY),
    Mount("/mnt/tmpfs", "a", "tmpfs", MS_RDONLY),
    Mount("/sys/fs/cgroup", "cgroup", "cgroup", MS_RDONLY),
    Mount(
        "/mnt/mapped",
        "/else",
        "bind",
        MS_BIND,
        id_mapping=MountIDMapping(uid_mappings=[IDMap(0, 1, 1)], gid_mappings=[IDMap(0, 1, 1)]),
    ),
]


@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("cgroup", [False, True])
@pytest.mark.parametrize("layout", [V1, V2])
def test_every_step_of_a_mount_begins_with_runcs_words(
    layout: Layout, cgroup: bool, user: bool
) -> None:
    kinds = ["NEWNS", "NEWPID"] + ["NEWUSER"] * user + ["NEWCGROUP"] * cgroup
    values: dict[str, Any] = {"namespaces": [Namespace(kind) for kind in kinds]}
    if user:
        values["uid_mappings"] = values["gid_mappings"] = [IDMap(0, 100000, 65536)]
    config = Config("/rootfs", mounts=MOUNTS, **values)
    process = Process(["true"], init=True)
    plan = plan_start(config, process, Host(layout=layout), None, "c1")
    ops = set()
    for number, step in enumerate(plan, 1):
        if step.why.startswith("mounts["):
            mount = MOUNTS[int(step.why[7])]
            ops.add(step.op)
            assert said(plan, number) == (
                f'error during container init: error mounting "{mount.source}" to rootfs at'
                f' "{mount.destination}"'
            )
    assert ops >= {"mount_filesystem", "bind", "remount"} | (
        {"take_source"} if user else {"open_idmapped"}
    )


def test_every_hook_begins_with_runcs_words() -> None:
    hooks: dict[str, Any] = {name: [Hook("/first"), Hook("/second")] for name in Hooks._fields}
    config = Config("/rootfs", namespaces=[Namespace("NEWNS")], hooks=Hooks(**hooks))
    plan = plan_start(config, Process(["true"], init=True), Host(layout=V1), None, "c1")
    found = [
        said(plan, number, code)
        for code in (None, errno.ENOENT)
        for number, step in enumerate(plan, 1)
        if step.op in ("runtime_hook", "container_hook")
    ]
    kinds = [
        "prestart",
        "createRuntime",
        "createContainer",
        "startContainer",
        "poststart",
        "poststop",
    ]
    assert found == [f"error running {kind} hook #{at}" for kind in kinds for at in (0, 1)] * 2


LIMITS: dict[str, dict[str, Any]] = {
    "pids": {"pids_limit": 9},
    "memory": {"memory_reservation": 1 << 20},
    "cpu": {"cpu_quota": 1000},
    "cpuset": {"cpuset_mems": "0"},
}


@pytest.mark.parametrize("layout", [V1, V2])
@pytest.mark.parametrize("controller", LIMITS)
@pytest.mark.parametrize("code", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_a_limit_without_a_group_begins_with_runcs_words(
    layout: Layout, controller: str, code: int
) -> None:
    words = f"cannot set {controller} limit: container could not join or create cgroup"
    mount = ROOT if layout is V2 else V1.controllers[controller].mount
    for limits, rootless in ((LIMITS[controller], False), (LIMITS[controller], True), ({}, False)):
        cgroup = Cgroup(rootless=rootless, resources=Resources(**limits))
        config = Config("/rootfs", namespaces=[Namespace("NEWNS")])
        manager = choose.new(cgroup, "c1", layout)
        process = Process(["true"], init=True)
        plan = plan_start(config, process, Host(layout=layout), manager, "c1")
        assert any(step.why == "linux.resources.devices" for step in plan) or rootless
        found = {
            step.args[0]: said(plan, number, code)
            for number, step in enumerate(plan, 1)
            if step.op == "cgroup_mkdir"
        }
        expected = {mount: words} if limits else {}
        assert {place: text for place, text in found.items() if text} == expected
        assert len(found) == (1 if layout is V2 else 6)


def test_a_group_that_fails_in_another_way_has_no_such_words() -> None:
    cgroup = Cgroup(rootless=True, resources=Resources(pids_limit=9))
    plan = Plan()
    plan.add("runtime", "cgroup", choose.new(cgroup, "c1", V2).create_steps())
    assert [said(plan, number, errno.EBUSY) for number in (1, 2)] == [""] * 2


def test_a_memory_policy_that_the_kernel_refuses() -> None:
    plan = Plan()
    plan.add(INIT, "process", [set_memory_policy(2, 0, (876,), why="linux.memoryPolicy")])
    assert said(plan, 1, errno.EINVAL) == "invalid memory policy"
    assert said(plan, 1, errno.ENOSYS) == ""


_FORMAT = "no #! line and no executable format that this kernel and machine know"


@pytest.mark.parametrize(
    ("code", "text"),
    [
        (errno.ENOENT, "no such file or directory (do that)"),
        (errno.ENOEXEC, f"exec format error ({_FORMAT})"),
        (errno.E2BIG, "argument list too long"),
        (errno.EACCES, "permission denied"),
        (errno.ETXTBSY, "text file busy"),
        (errno.ELOOP, os.strerror(errno.ELOOP).lower()),  # which musl says otherwise
    ],
)
@pytest.mark.parametrize("call", ['execve("/bin/run.sh", ...)', ""])
def test_a_command_that_is_not_executed(code: int, text: str, call: str) -> None:
    """As the process itself tells it, or what was prepared for a start that waits."""
    plan = Plan()
    plan.add(INIT, "start", [Step("execute", (("run.sh",), ()), "process.args")])
    problem = "Text of the errno" if call else ""
    failure = Failure(1, code, call, problem, "/bin/run.sh", "do that")
    error = step_error(plan, failure, [])
    assert str(error) == (
        f"cannot execute run.sh: exec /bin/run.sh: {text} [step 1 of 1, from process.args]"
    )
    assert error.errno == code
