"""Where in a start the filter of system calls is loaded."""

from __future__ import annotations

import pytest

from libct.config import Config, Namespace
from libct.config.seccomp import Seccomp
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.container import plan_start
from libct.plan.further import plan_exec
from libct.plan.step import INIT, Plan
from libct.syscalls.constants import CLONE_NEWNS, CLONE_NEWPID

SECCOMP = Seccomp("SCMP_ACT_ALLOW")
# What a process does after it, which is nothing to it.
AFTER = {
    *("let_go", "record_created", "await_start"),
    *("set_rlimits", "execute"),
}


def config_of(*namespaces: Namespace) -> Config:
    return Config("/rootfs", namespaces=list(namespaces), seccomp=SECCOMP, no_new_privileges=True)


def last_steps(plan: Plan) -> list[str]:
    """The operations from the filter on; there is one filter, of the process that stays."""
    operations = [step.op for step in plan]
    assert operations.count("load_filter") == 1
    at = operations.index("load_filter")
    assert plan.steps[at].process == INIT
    assert "no_new_privileges" in operations[:at]
    assert "set_capabilities" in operations[:at]
    assert "find_command" in operations[:at]
    return operations[at + 1 :]


@pytest.mark.parametrize("hold", [False, True])
@pytest.mark.parametrize("path", ["", "/proc/5/ns/pid"])
def test_the_filter_is_the_last_that_the_process_is_given(hold: bool, path: str) -> None:
    config = config_of(Namespace("NEWPID", path), Namespace("NEWNS"))
    process = Process(["true"], init=True)
    plan = plan_start(config, process, Host(), None, "name", hold=hold)
    assert set(last_steps(plan)) <= AFTER
    if hold:
        operations = [step.op for step in plan]
        assert operations.index("prepare_wait") < operations.index("load_filter")


@pytest.mark.parametrize("flags", [CLONE_NEWNS, CLONE_NEWNS | CLONE_NEWPID])
def test_a_further_process_is_given_it_after_the_last_clone(flags: int) -> None:
    joined = {flag: 1 for flag in (CLONE_NEWNS, CLONE_NEWPID) if flag & flags}
    plan = plan_exec(config_of(), Process(["true"]), Host(), None, "name", joined, 5)
    assert set(last_steps(plan)) <= AFTER


def test_without_a_profile_there_is_no_filter() -> None:
    config = Config("/rootfs", no_new_privileges=True)
    plan = plan_start(config, Process(["true"], init=True), Host(), None, "name")
    assert "load_filter" not in {step.op for step in plan}
