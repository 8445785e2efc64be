"""Where in a start the filter of system calls is loaded."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import pytest

from libct.config import Capabilities, Config, Hook, Hooks, Namespace
from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.errors import ConfigError
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.capabilities import Grantable
from libct.plan.container import plan_start
from libct.plan.further import plan_exec
from libct.plan.process import SYS_ADMIN
from libct.plan.seccomp import (
    AFTER as AFTER_ALL,
    AFTER_CLONE,
    AFTER_HOOKS,
    AFTER_RIGHTS,
    AFTER_WAIT,
    MEMORY,
)
from libct.plan.step import INIT, RUNTIME, STAGE, Plan
from libct.seccomp.actions import ERRNO
from libct.seccomp.architectures import here
from libct.seccomp.instructions import LD_ABS, RET_A, RET_K, encode
from libct.syscalls.constants import CLONE_NEWNS, CLONE_NEWPID

if TYPE_CHECKING:
    from libct.seccomp.instructions import Instruction

SECCOMP = Seccomp("SCMP_ACT_ALLOW")
# What a process does after it, which is nothing to it.
AFTER = {
    *("let_go", "record_created", "await_start", "close_descriptors"),
    *("set_rlimits", "execute"),
}


HOST = Host(capabilities=Grantable())


def config_of(*namespaces: Namespace, seccomp: Seccomp = SECCOMP, last: bool = True) -> Config:
    return Config("/rootfs", namespaces=list(namespaces), seccomp=seccomp, no_new_privileges=last)


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


# Without no_new_privs.
RIGHTS = {"set_capabilities", *AFTER}


@pytest.mark.parametrize("hold", [False, True])
def test_without_no_new_privs_the_right_to_load_it_goes_after_it(hold: bool) -> None:
    config = config_of(Namespace("NEWPID"), Namespace("NEWNS"), last=False)
    plan = plan_start(config, Process(["true"], init=True), HOST, None, "name", hold=hold)
    operations = [step.op for step in plan]
    at = operations.index("load_filter")
    assert plan.steps[at].process == INIT
    assert "find_command" in operations[:at]
    assert "raise_ambient" in operations[:at]
    assert set(operations[at + 1 :]) <= RIGHTS
    assert operations[at + 1] == "set_capabilities"
    kept, given = (step.args for step in plan if step.op == "set_capabilities")
    assert (kept, given) == ((SYS_ADMIN, SYS_ADMIN, 0), (0, 0, 0))


@pytest.mark.parametrize("further", [False, True])
def test_nobody_has_that_right_in_a_pid_namespace_with_others(further: bool) -> None:
    process = Process(["true"], init=not further)
    if further:
        joined = {CLONE_NEWPID: 1, CLONE_NEWNS: 2}
        plan = plan_exec(config_of(last=False), process, HOST, None, "name", joined, 5)
    else:
        spaces = Namespace("NEWPID", "/proc/5/ns/pid"), Namespace("NEWNS")
        plan = plan_start(config_of(*spaces, last=False), process, HOST, None, "name")
    operations = [step.op for step in plan]
    at = operations.index("load_filter")
    assert plan.steps[at].process == STAGE
    assert operations[at + 1 : at + 4] == ["set_capabilities", "close_descriptors", "clone_command"]
    assert plan.steps[at + 3].args == (True,)
    assert "set_capabilities" not in operations[at + 4 :]


def test_who_may_load_it_anyway_gives_nothing_up() -> None:
    names = ["CAP_SYS_ADMIN"]
    given = Capabilities(bounding=names, effective=names, permitted=names)
    process = Process(["true"], init=True, capabilities=given)
    plan = plan_start(config_of(last=False), process, HOST, None, "name")
    assert [step.op for step in plan].count("set_capabilities") == 1


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("euid", [0, 1000])
def test_a_listener_is_handed_over_right_after_the_filter(euid: int, last: bool) -> None:
    seccomp = Seccomp(
        "SCMP_ACT_ALLOW",
        syscalls=[SeccompRule(["mkdir"], "SCMP_ACT_NOTIFY")],
        listener_path="/run/agent",
    )
    config = config_of(Namespace("NEWPID"), seccomp=seccomp, last=last)
    host = Host(euid=euid, capabilities=Grantable())
    plan = plan_start(config, Process(["true"], init=True), host, None, "name")
    operations = [step.op for step in plan]
    at = operations.index("load_filter")
    assert [(step.op, step.process) for step in plan.steps[at + 1 : at + 3]] == [
        ("send_listener", RUNTIME),
        ("close_listener", INIT),
    ]
    assert (operations[at - 1] == "show_listener") == (euid != 0)
    assert plan.steps[at + 2].args == (euid != 0,)
    assert plan.steps[at + 1].args[0] == "/run/agent"


def faking(*names: str, **more: Any) -> Seccomp:
    return Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule([*names], "SCMP_ACT_ERRNO", 0, **more)])


def plan_of(way: str, seccomp: Seccomp) -> Plan:
    if way == "pod":
        config = config_of(seccomp=seccomp, last=False)
        joined = {CLONE_NEWPID: 1, CLONE_NEWNS: 2}
        return plan_exec(config, Process(["true"]), HOST, None, "name", joined, 5)
    config = config_of(Namespace("NEWPID"), seccomp=seccomp, last=way != "rights")
    if way == "hooks":
        config.hooks = Hooks(start_container=[Hook("/bin/true")])
    process = Process(["true"], init=True)
    return plan_start(config, process, HOST, None, "name", hold=way == "wait")


CALLS = {
    "direct": (*AFTER_ALL, *MEMORY),
    "wait": AFTER_WAIT,
    "rights": AFTER_RIGHTS,
    "pod": AFTER_CLONE,
    "hooks": AFTER_HOOKS,
}


@pytest.mark.parametrize(
    ("way", "name"), [(way, name) for way, names in CALLS.items() for name in names]
)
def test_a_filter_that_fakes_a_call_of_the_start_is_refused(way: str, name: str) -> None:
    if name not in here().numbers():
        pytest.skip("this machine has no such call")
    with pytest.raises(ConfigError, match=rf"fakes the success of {name}, which the start"):
        plan_of(way, faking(name))


@pytest.mark.parametrize("way", CALLS)
def test_other_calls_may_be_faked(way: str) -> None:
    others = set(here().numbers()) - {*CALLS["direct"], *CALLS[way], *AFTER_RIGHTS}
    plan_of(way, faking(*others))


def test_a_call_that_is_faked_where_a_condition_holds_is_refused() -> None:
    arguments = [SeccompArg(2, 8, 0, "SCMP_CMP_EQ")]
    with pytest.raises(ConfigError, match="fakes the success of write,"):
        plan_of("direct", faking("write", args=arguments))


def test_a_call_that_fails_by_the_filter_is_the_matter_of_the_start() -> None:
    plan_of("direct", Seccomp("SCMP_ACT_ERRNO"))


@pytest.mark.parametrize("last", [(RET_A, 0, 0, 0), (RET_K, 0, 0, ERRNO)])
def test_a_program_that_may_fake_a_call_is_refused(last: Instruction) -> None:
    code = encode([(LD_ABS, 0, 0, 16), last])
    seccomp = Seccomp("SCMP_ACT_ALLOW", program=base64.b64encode(code).decode())
    with pytest.raises(ConfigError, match="fakes the success of read, write, close_range"):
        plan_of("direct", seccomp)
