"""Which starts share the server's memory, and each reason to fork (plan/sharing.py)."""

from __future__ import annotations

from typing import Any

import pytest

from libct.config import Config, Hook, Hooks, IDMap, Mount, Namespace, Rlimit, TimeOffset
from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.life.host import Host
from libct.life.process import Process
from libct.plan import namespaces as ns
from libct.plan.capabilities import Grantable
from libct.plan.container import plan_start
from libct.plan.further import plan_exec
from libct.plan.namespaces import SHARING
from libct.plan.step import Plan
from libct.syscalls.constants import (
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWTIME,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
)

CLONES = ("clone_stage", "clone_init")
USUAL = ("NEWNS", "NEWPID", "NEWUTS")
PIDS = Namespace("NEWPID", "/proc/7/ns/pid")
USERS = Namespace("NEWUSER", "/proc/7/ns/user")
UTS = Namespace("NEWUTS", "/proc/7/ns/uts")
MAPS: dict[str, Any] = {
    "uid_mappings": [IDMap(0, 1000, 10)],
    "gid_mappings": [IDMap(0, 1000, 10)],
}


def shared(plan: Plan) -> bool:
    found = {step.args[0] & SHARING for step in plan if step.op in CLONES}
    assert found in ({0}, {SHARING})
    assert plan.shares == (found == {SHARING})
    return plan.shares


def host(*, euid: int = 0, shares: bool = True) -> Host:
    return Host(euid=euid, capabilities=Grantable(), landlock_abi=0, shares=shares)


def config_of(*spaces: str | Namespace, **values: Any) -> Config:
    made = [one if isinstance(one, Namespace) else Namespace(one) for one in spaces or USUAL]
    return Config("/rootfs", namespaces=made, **values)


def start(config: Config, *, hold: bool = False, **values: Any) -> Plan:
    process = Process(["true"], init=True, **values)
    return plan_start(config, process, host(), None, "id", hold=hold)


JOINED = {CLONE_NEWNS: 1, CLONE_NEWPID: 2}


def further(
    config: Config,
    joined: dict[int, int] | None = None,
    *,
    shares: bool = True,
    bare: bool = False,
    **values: Any,
) -> Plan:
    process = Process(["true"], **values)
    spaces = JOINED if joined is None else joined
    return plan_exec(config, process, host(), None, "id", spaces, 7, shares=shares, bare=bare)


def test_what_waits_for_nobody_shares_memory() -> None:
    assert shared(start(config_of()))
    assert shared(start(config_of("NEWUSER", *USUAL, **MAPS)))
    assert shared(start(config_of("NEWNS", "NEWPID", UTS)))  # with a stage
    assert shared(further(config_of()))
    assert shared(further(config_of(), {CLONE_NEWNS: 1}))  # without one
    hooks = Hooks(poststart=[Hook("/h")], poststop=[Hook("/h")])  # others' affair
    assert shared(start(config_of(hooks=hooks)))


def test_the_plan_says_so() -> None:
    for plan in (start(config_of()), start(config_of("NEWNS", UTS)), further(config_of())):
        calls = [call for step in plan if step.op in CLONES for call in step.calls]
        assert calls
        assert all("CLONE_VM|CLONE_VFORK" in call for call in calls)
        assert not any("CLONE_PIDFD" in call for call in calls)


def test_what_appears_where_others_are_is_forked() -> None:
    """Somebody may have joined them who is there to trace."""
    (command,) = (step for step in further(config_of()) if step.op == "clone_command")
    (call,) = command.calls
    assert "CLONE_VM" not in call


def test_the_plan_says_so_with_a_group() -> None:
    (call,) = ns.clone_stage.calls(SHARING, True)
    flags = "CLONE_VM|CLONE_VFORK|CLONE_PARENT|CLONE_PARENT_SETTID|CLONE_INTO_CGROUP"
    assert call == f"clone3({{flags={flags}, exit_signal=0}})"


def test_nobody_does_where_the_host_cannot() -> None:
    process = Process(["true"], init=True)
    plan = plan_start(config_of(), process, host(shares=False), None, "id", hold=False)
    assert not shared(plan)
    none = host(shares=False)
    further = plan_exec(config_of(), process, none, None, "id", JOINED, 7, shares=True)
    assert not shared(further)
    assert not Host(euid=0, capabilities=Grantable()).shares  # unless it is said


def test_who_waits_for_its_start_is_forked() -> None:
    assert not shared(start(config_of(), hold=True))


@pytest.mark.parametrize(
    "kind", ["prestart", "create_runtime", "create_container", "start_container"]
)
def test_who_waits_for_a_hook_is_forked(kind: str) -> None:
    hooks = Hooks()
    setattr(hooks, kind, [Hook("/h")])
    assert not shared(start(config_of(hooks=hooks)))


def test_who_waits_for_a_lender_is_forked() -> None:
    bind = Mount("/mnt", "/some/where", "bind", 4096)
    assert shared(start(config_of(mounts=[bind])))
    plan = start(config_of("NEWUSER", *USUAL, mounts=[bind], **MAPS))
    assert {step.op for step in plan} & {"lend_sources", "lend_here"}
    assert not shared(plan)


def test_who_has_a_listener_is_forked() -> None:
    rule = SeccompRule(["mkdir"], "SCMP_ACT_NOTIFY")
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[rule], listener_path="/listener")
    for last in (False, True):
        config = config_of(seccomp=seccomp, no_new_privileges=last)
        assert not shared(start(config))
        assert not shared(further(config))


RULES = {
    "any": (SeccompRule(["mkdir"], "SCMP_ACT_ERRNO"), True),
    "mask": (SeccompRule(["rt_sigprocmask"], "SCMP_ACT_ERRNO"), False),
    "no word": (SeccompRule(["writev"], "SCMP_ACT_ERRNO"), False),
    "some masks": (
        SeccompRule(
            ["rt_sigprocmask"], "SCMP_ACT_ERRNO", args=[SeccompArg(0, 9, 0, "SCMP_CMP_EQ")]
        ),
        False,
    ),
}


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("rule", RULES)
def test_who_has_a_filter_that_forbids_it_is_forked(rule: str, last: bool) -> None:
    """A stage, too, that clones under it, as it does where there is no no_new_privileges."""
    made, can = RULES[rule]
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[made])
    config = config_of(seccomp=seccomp, no_new_privileges=last)
    assert shared(start(config)) == can
    assert shared(further(config)) == can


def test_who_may_be_traced_is_forked() -> None:
    assert not shared(further(config_of(), shares=False))
    for spaces in (("NEWNS", PIDS), ("NEWNS", PIDS, USERS), ("NEWNS", PIDS, "NEWUSER")):
        config = config_of(*spaces, **(MAPS if "NEWUSER" in spaces else {}))
        assert not shared(start(config))
        assert not shared(further(config))


def test_who_is_refused_by_the_kernel_is_forked() -> None:
    offsets = {"boottime": TimeOffset(1000, 0)}
    assert not shared(start(config_of(*USUAL, "NEWTIME", time_offsets=offsets)))
    assert not shared(start(config_of(*USUAL, Namespace("NEWTIME", "/proc/7/ns/time"))))
    assert not shared(start(config_of("NEWUSER", *USUAL, **MAPS), reaper=True))  # unshares it
    assert not shared(further(config_of(), {**JOINED, CLONE_NEWTIME: 3}))
    assert shared(further(config_of(), {**JOINED, CLONE_NEWUTS: 3}))


# --- what a stage clones without an interpreter -------------------------------------------------


def operations(plan: Plan, process: str = "") -> list[str]:
    return [step.op for step in plan if process in ("", step.process)]


def is_bare(plan: Plan) -> bool:
    (found,) = {step.op for step in plan} & {"clone_command", "clone_bare"}
    return found == "clone_bare"


def test_who_has_nothing_to_do_but_calls_is_cloned_bare() -> None:
    plan = further(config_of(parent_death_signal=9), bare=True)
    assert is_bare(plan)
    assert operations(plan, "init") == ["new_session", "set_death_signal", "execute"]
    assert operations(plan, "stage")[-3:] == ["note_memory", "close_descriptors", "clone_bare"]
    (clone,) = (step for step in plan if step.op == "clone_bare")
    assert clone.calls == ["clone(CLONE_PARENT|CLONE_PARENT_SETTID)"]
    assert "without an interpreter" in clone.title


def test_nobody_is_who_is_not_to_be() -> None:
    assert not is_bare(further(config_of()))  # its steps are timed
    assert not is_bare(further(config_of(), bare=True, shares=False))  # who may be traced
    no_stage = further(config_of(), {CLONE_NEWNS: 1}, bare=True)
    assert not {"clone_bare", "note_memory"} & set(operations(no_stage))


def test_the_stage_sets_the_limits_of_what_is_bare() -> None:
    """Before it says that there is something, so before it gets its word."""
    plan = further(config_of(), bare=True, rlimits=[Rlimit(7, 10, 10), Rlimit(4, 0, 0)])
    assert is_bare(plan)
    assert operations(plan, "stage")[-3:] == ["clone_bare", "set_rlimit", "set_rlimit"]
    limits = [step for step in plan if step.op == "set_rlimit"]
    assert [step.args[1:] for step in limits] == [(7, 10, 10), (4, 0, 0)]
    assert [step.why for step in limits] == ["process.rlimits[0]", "process.rlimits[1]"]
    assert operations(plan, "init") == ["new_session", "execute"]


def test_who_has_more_to_do_than_calls_is_forked() -> None:
    assert not is_bare(further(config_of(), bare=True, terminal=True))
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[RULES["any"][0]])
    assert not is_bare(further(config_of(seccomp=seccomp, no_new_privileges=True), bare=True))


def test_who_has_to_say_that_it_is_the_runtimes_turn_is_forked() -> None:
    users = {**JOINED, CLONE_NEWUSER: 3}
    config = config_of("NEWUSER", *USUAL, **MAPS)
    assert is_bare(further(config, users, bare=True))
    assert not is_bare(further(config, users, bare=True, rlimits=[Rlimit(7, 10, 10)]))


def test_a_filter_that_forbids_to_clone_bare() -> None:
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["madvise"], "SCMP_ACT_ERRNO")])
    plan = further(config_of(seccomp=seccomp), bare=True)
    assert shared(plan)
    assert not is_bare(plan)


def test_a_filter_that_lets_clone_bare() -> None:
    seccomp = Seccomp("SCMP_ACT_ALLOW", syscalls=[RULES["any"][0]])
    plan = further(config_of(seccomp=seccomp), bare=True)
    assert is_bare(plan)
    found = operations(plan, "stage")
    assert found.index("note_memory") == found.index("load_filter") - 1
