"""Plans: their steps in order, for configurations and hosts that are not this one's.

The files in golden/ hold the plans of whole configurations, a step a line.
LIBCT_GOLDEN=write writes them anew; the difference is then to be read.
"""

from __future__ import annotations

import builtins
import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups import choose as cgroups
from libct.cgroups.layout import Hierarchy, Layout
from libct.cgroups.systemd.facts import Systemd
from libct.config import (
    NEWCGROUP,
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWTIME,
    NEWUSER,
    NEWUTS,
    Capabilities,
    Cgroup,
    Config,
    CPUAffinity,
    Device,
    Hook,
    Hooks,
    IDMap,
    Landlock,
    Mount,
    Namespace,
    Resources,
    Rlimit,
    TimeOffset,
)
from libct.config.mount_flags import MS_BIND, MS_RDONLY, MS_REC
from libct.config.namespace import CLONE_FLAGS, PROC_NAMES
from libct.life.host import Host
from libct.life.process import Process
from libct.oci.default_spec import default_spec
from libct.oci.load import config_from_spec
from libct.plan.capabilities import Grantable
from libct.plan.container import plan_start
from libct.plan.further import plan_exec
from libct.plan.step import (
    AHEAD,
    DELETER,
    INIT,
    OPERATIONS,
    RUNTIME,
    SERVER,
    STAGE,
    STARTER,
    Performers,
    Plan,
    Step,
    operation,
)
from libct.syscalls.namespaces import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUSER

from ..support import merge

if TYPE_CHECKING:
    from collections.abc import Callable

    from libct.cgroups.manager import Manager

GOLDEN = Path(__file__).parent / "golden"
ROOT = "/sys/fs/cgroup"
V1 = Layout(
    "v1",
    {name: Hierarchy(f"{ROOT}/{name}") for name in ("cpu", "memory", "pids", "devices", "freezer")},
)
V2 = Layout("v2", unified=Hierarchy(ROOT), v2_controllers=("cpu", "io", "memory", "pids"))
USUAL = (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWNET)


def root(layout: Layout = V1) -> Host:
    return Host(layout=layout, capabilities=Grantable(), landlock_abi=7)


def managed(layout: Layout) -> Host:
    """Of a machine with systemd."""
    found = Layout(
        layout.mode, layout.controllers, layout.unified, layout.v2_controllers, systemd=True
    )
    return Host(layout=found, capabilities=Grantable(), landlock_abi=7, systemd_facts=Systemd(252))


def user(layout: Layout = V2, **values: Any) -> Host:
    return Host(euid=1000, egid=1000, layout=layout, capabilities=Grantable(), **values)


def config_with(*kinds: str | tuple[str, str], **values: Any) -> Config:
    spaces = [Namespace(*(kind if isinstance(kind, tuple) else (kind,))) for kind in kinds]
    return Config(rootfs="/images/box", namespaces=spaces, **values)


def manager_of(config: Config, host: Host) -> Manager | None:
    if config.cgroups is None:
        return None
    return cgroups.new(config.cgroups, "box", host.layout, host.systemd(config.cgroups))


def start(config: Config, host: Host, *, hold: bool = True, **process: Any) -> Plan:
    process.setdefault("args", ["/bin/sh"])
    made = Process(init=True, **process)
    manager = manager_of(config, host)
    return plan_start(config, made, host, manager, "box", hold=hold)


def further(config: Config, host: Host, flags: int, **process: Any) -> Plan:
    process.setdefault("args", ["/bin/sh"])
    made = Process(**process)
    manager = manager_of(config, host)
    if manager is not None and made.sub_cgroup_paths:
        manager = manager.below(made.sub_cgroup_paths)
    joined = {flag: 0 for flag in CLONE_FLAGS.values() if flags & flag}
    return plan_exec(config, made, host, manager, "box", joined, 4321)


def from_spec(*, rootless: bool = False, **changes: Any) -> Config:
    spec = default_spec(rootless=rootless, euid=1000, egid=1000)
    merge(spec, {"root": {"path": "/images/box"}, **changes})
    return config_from_spec(
        spec, bundle="/bundle", id="box", rootless_euid=rootless, rootless_cgroups=rootless
    )[0]


def text(plan: Plan) -> str:
    lines = []
    for number, step in enumerate(plan, 1):
        place = f"  ({step.why})" if step.why else ""
        lines.append(f"{number:3} {step.process:8} {step.phase:9} {step.title}{place}\n")
    return "".join(lines)


OWN = {"uid_mappings": [IDMap(0, 1000, 1)], "gid_mappings": [IDMap(0, 1000, 1)]}
MORE = {
    "uid_mappings": [IDMap(0, 1000, 1), IDMap(1, 100000, 65535)],
    "gid_mappings": [IDMap(0, 1000, 1), IDMap(1, 200000, 65535)],
}
MAPPED = {"uid_mappings": [IDMap(0, 100000, 65536)], "gid_mappings": [IDMap(0, 100000, 65536)]}
EVERY = (NEWUSER, NEWIPC, NEWUTS, NEWNET, NEWPID, NEWNS, NEWCGROUP, NEWTIME)
SRV = Mount("/data", "/srv", "bind", MS_BIND)
KILL = Capabilities(bounding=["CAP_KILL"], effective=["CAP_KILL"], permitted=["CAP_KILL"])
RULES = Landlock(["/usr", "/etc"], ["/tmp"], ["/usr"], [80], [], ["signal"])

PLANS: dict[str, Callable[[], Plan]] = {
    "spec-v1": lambda: start(from_spec(), root()),
    "spec-v2": lambda: start(from_spec(), root(V2)),
    "spec-rootless": lambda: start(from_spec(rootless=True, linux={"cgroupsPath": None}), user()),
    "plain": lambda: start(
        config_with(
            *USUAL,
            mounts=[
                Mount("/proc", "proc", "proc"),
                Mount("/data", "/srv", "bind", MS_BIND | MS_REC),
            ],
            devices=[Device("/dev/null", "c", 1, 3)],
            hostname="box",
            readonlyfs=True,
            mask_paths=["/proc/kcore"],
            readonly_paths=["/proc/sys"],
            sysctl={"kernel.msgmax": "1000"},
            capabilities=KILL,
            rlimits=[Rlimit(7, 1024, 1024)],
            oom_score_adj=100,
            no_new_privileges=True,
            cgroups=Cgroup(resources=Resources(pids_limit=9, memory=1 << 24, skip_devices=True)),
        ),
        root(),
        user="daemon",
        cwd="/data",
        terminal=True,
        console_socket=0,
        extra_files=[3, 4],
    ),
    "user-namespace": lambda: start(
        config_with(
            *USUAL,
            NEWUSER,
            NEWCGROUP,
            mounts=[Mount("/data", "/srv", "bind", MS_BIND)],
            rlimits=[Rlimit(7, 1024, 1024)],
            oom_score_adj=-5,
            parent_death_signal=9,
            cgroups=Cgroup(resources=Resources(skip_devices=True)),
            **MAPPED,
        ),
        root(V2),
    ),
    "user-own-id": lambda: start(
        config_with(*USUAL, NEWUSER, oom_score_adj=5, **OWN), user(), hold=False
    ),
    "user-newuidmap": lambda: start(
        config_with(*USUAL, NEWUSER, **MORE),
        user(newuidmap="/usr/bin/newuidmap", newgidmap="/usr/bin/newgidmap"),
    ),
    "joins-and-clocks": lambda: start(
        config_with(
            (NEWNET, "/run/netns/a"),
            (NEWUTS, "/proc/9/ns/uts"),
            *(NEWNS, NEWPID, NEWUSER, NEWTIME),
            time_offsets={"boottime": TimeOffset(7, 5)},
            **MAPPED,
        ),
        root(V2),
    ),
    "user-joins": lambda: start(
        config_with(NEWNS, (NEWUSER, "/proc/9/ns/user"), (NEWNET, "/proc/9/ns/net")), user()
    ),
    "joins-pid": lambda: start(
        config_with((NEWPID, "/proc/9/ns/pid"), NEWNS, NEWUTS, mounts=[SRV]), root()
    ),
    "joins-pid-new-user": lambda: start(
        config_with(
            (NEWPID, "/proc/9/ns/pid"),
            *(NEWNS, NEWUTS, NEWUSER, NEWTIME),
            mounts=[SRV],
            time_offsets={"boottime": TimeOffset(7, 5)},
            **MAPPED,
        ),
        root(),
    ),
    "joins-mount": lambda: start(
        config_with((NEWNS, "/proc/9/ns/mnt"), NEWPID, NEWUTS, mounts=[SRV]), root()
    ),
    "joins-user-for-mounts": lambda: start(
        config_with((NEWUSER, "/proc/9/ns/user"), NEWNS, NEWPID, mounts=[SRV], cgroups=Cgroup()),
        root(V2),
    ),
    "joins-ipc-cgroup-time": lambda: start(
        config_with(
            (NEWIPC, "/proc/9/ns/ipc"),
            (NEWCGROUP, "/proc/9/ns/cgroup"),
            (NEWTIME, "/proc/9/ns/time"),
            *(NEWNS, NEWPID, NEWNET),
            cgroups=Cgroup(),
        ),
        root(),
    ),
    "joins-all": lambda: start(
        config_with(*((kind, f"/proc/9/ns/{PROC_NAMES[kind]}") for kind in EVERY), mounts=[SRV]),
        root(),
    ),
    "joins-all-of-a-user": lambda: start(
        config_with(*((kind, f"/proc/9/ns/{PROC_NAMES[kind]}") for kind in EVERY)), user()
    ),
    "hooks": lambda: start(
        config_with(
            *USUAL,
            hooks=Hooks(
                prestart=[Hook("/a")],
                create_runtime=[Hook("/b", ["b", "one"], ["A=1", "A=2"], 5), Hook("/b2")],
                create_container=[Hook("/c")],
                start_container=[Hook("/d"), Hook("/d2", env=["B=1"])],
                poststart=[Hook("/e")],
                poststop=[Hook("/f"), Hook("/f2")],
            ),
            cgroups=Cgroup(resources=Resources(pids_limit=9, skip_devices=True)),
        ),
        root(V2),
    ),
    "landlock": lambda: start(config_with(*USUAL, landlock=RULES, no_new_privileges=True), root()),
    "landlock-joins-pid": lambda: start(
        config_with((NEWPID, "/proc/9/ns/pid"), NEWNS, landlock=RULES), root()
    ),
    "landlock-exec": lambda: further(
        config_with(*USUAL, landlock=RULES),
        root(),
        CLONE_NEWNS | CLONE_NEWPID,
    ),
    "systemd": lambda: start(
        config_with(
            *USUAL,
            NEWCGROUP,
            cgroups=Cgroup(
                "box",
                "a-b.slice",
                scope_prefix="libct",
                systemd=True,
                resources=Resources(memory=1 << 24, cpu_shares=512, cpu_quota=1000, pids_limit=9),
            ),
        ),
        managed(V2),
    ),
    "systemd-v1-joins-pid": lambda: start(
        config_with(
            (NEWPID, "/proc/9/ns/pid"),
            NEWNS,
            cgroups=Cgroup(
                "box", scope_prefix="x", systemd=True, resources=Resources(memory=1 << 24)
            ),
        ),
        managed(V1),
    ),
    "systemd-groups-below": lambda: start(
        config_with(
            *USUAL,
            NEWCGROUP,
            cgroups=Cgroup(
                "box",
                scope_prefix="libct",
                systemd=True,
                sub_group="container",
                delegate="payload",
                owner_uid=7,
                resources=Resources(skip_devices=True),
            ),
        ),
        managed(V2),
    ),
    "no-namespaces": lambda: start(config_with(), root()),
    "exec": lambda: further(
        from_spec(process={"oomScoreAdj": 7}),
        root(V2),
        CLONE_NEWNS | CLONE_NEWPID,
        user="1000:1000",
        terminal=True,
        console_socket=0,
        console_width=80,
        console_height=24,
        capabilities=KILL,
        no_new_privileges=True,
    ),
    "exec-user": lambda: further(
        config_with(*USUAL, NEWUSER, rlimits=[Rlimit(7, 9, 9)], **OWN),
        user(),
        CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWUSER,
    ),
    "exec-all": lambda: further(
        config_with(*EVERY, **MAPPED), root(), sum(CLONE_FLAGS[kind] for kind in EVERY)
    ),
    "exec-all-of-a-user": lambda: further(
        config_with(*EVERY, **OWN), user(), sum(CLONE_FLAGS[kind] for kind in EVERY)
    ),
    "exec-of-a-namespaces-root": lambda: further(
        config_with(*USUAL),
        Host(layout=V2, userns=True, capabilities=Grantable()),
        CLONE_NEWNS | CLONE_NEWPID,
    ),
    "exec-pid": lambda: further(config_with(NEWPID), root(), CLONE_NEWPID),
    "exec-below-cgroup": lambda: further(
        config_with(*USUAL, cgroups=Cgroup()),
        root(),
        CLONE_NEWNS | CLONE_NEWPID,
        sub_cgroup_paths={"memory": "a", "pids": "a/b"},
    ),
    "exec-no-namespaces": lambda: further(config_with(no_new_keyring=True), root(), 0),
    "reaper": lambda: start(config_with(*USUAL), root(), hold=False, reaper=True),
    "reaper-of-a-user": lambda: start(config_with(*USUAL, NEWUSER, **OWN), user(), reaper=True),
}


@pytest.mark.parametrize("name", PLANS)
def test_plans_are_as_written_down(name: str) -> None:
    planned = text(PLANS[name]())
    file = GOLDEN / f"{name}.txt"
    if os.environ.get("LIBCT_GOLDEN") == "write":
        file.write_text(planned)
    assert planned == file.read_text()


@pytest.mark.parametrize("name", PLANS)
def test_deciding_is_pure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """What makes a plan asks nothing of this machine."""
    PLANS[name]()  # loads what it needs

    def refuse(*args: Any, **_: Any) -> Any:
        raise AssertionError(f"planning looks at {args}")

    with monkeypatch.context() as patch:
        for module, names in (
            (os, ("stat", "lstat", "open", "readlink", "listdir", "getcwd", "geteuid", "getpid")),
            (builtins, ("open",)),
        ):
            for one in names:
                patch.setattr(module, one, refuse)
        PLANS[name]()


def test_no_file_is_left_over() -> None:
    limits = {"limits-v1", "limits-v2"}  # of test_cgroups_limits.py
    assert {file.stem for file in GOLDEN.glob("*.txt")} == set(PLANS) | limits


# --- what holds for every plan ----------------------------------------------------------


def ops(plan: Plan, process: str = "") -> list[str]:
    return [step.op for step in plan if process in ("", step.process)]


@functools.cache
def planned() -> frozenset[str]:
    """The operations that there are in any of the plans."""
    return frozenset(op for make in PLANS.values() for op in ops(make()))


def known(*names: str) -> tuple[str, ...]:
    """Names of operations, of which each is in some plan: about others all can be said."""
    assert set(names) <= planned(), set(names) - planned()
    return names


@pytest.mark.parametrize("name", PLANS)
def test_every_step_can_be_performed_printed_and_sent(name: str) -> None:
    import marshal

    plan = PLANS[name]()
    assert len(plan) > 10
    for step in plan:
        assert step.op in OPERATIONS
        assert "\n" not in step.title
        assert all("(" in call and call.endswith((")", "]")) for call in step.calls)
    assert marshal.loads(marshal.dumps(plan.segments())) == plan.segments()
    kept = Plan.unpacked(plan.pack())
    assert (kept.steps, kept.mounts, kept.shares) == (plan.steps, plan.mounts, plan.shares)


@pytest.mark.parametrize("name", PLANS)
def test_the_order_of_processes(name: str) -> None:
    """Each clones the next, and then leaves."""
    plan = PLANS[name]()
    order = [process for process, _ in plan.segments() if process in (SERVER, STAGE, INIT)]
    firsts = list(dict.fromkeys(order))
    assert firsts in ([SERVER, INIT], [SERVER, STAGE, INIT])
    for process in (SERVER, STAGE):
        if process in firsts:
            last = [step for step in plan if step.process == process][-1]
            assert last.op in ("clone_stage", "clone_init", "clone_command")
    before = [step for step in plan if step.process not in (STARTER, DELETER)]
    assert before == plan.steps[: len(before)]
    assert before[-1].op == "execute"
    for phase in dict.fromkeys(step.phase for step in plan):
        assert phase.isalpha()


@pytest.mark.parametrize("name", PLANS)
def test_the_runtime_lets_the_process_go(name: str) -> None:
    """The last turn before the command is the runtime's: one that is gone holds it up for good."""
    plan = PLANS[name]()
    last = [step.op for step in plan if step.process in (RUNTIME, AHEAD)][-1]
    assert last in ("record_created", "let_go")
    rest = ops(plan)[ops(plan).index(last) + 1 :]
    if "clone_command" in ops(plan):  # the stage has closed all
        assert rest in (["execute"], ["await_start", "execute"])
        return
    rest = [op for op in rest if not op.endswith("_hook")]
    assert rest in (["execute"], ["await_start", "execute"], ["close_descriptors", "execute"])


@pytest.mark.parametrize("name", PLANS)
def test_the_hosts_proc_is_held_before_it_is_out_of_sight(name: str) -> None:
    found = ops(PLANS[name]())
    held = found.index("open_proc")
    entering = ("join", "join_process", "pivot", "change_root", "unshare_user", "resolve_user")
    later = [found.index(op) for op in known(*entering) if op in found]
    assert held < min(later)
    assert found.count("open_proc") == 1


@pytest.mark.parametrize("name", PLANS)
def test_nothing_of_the_host_is_used_in_the_rootfs(name: str) -> None:
    plan = PLANS[name]()
    found = [step.op for step in plan if step.process in (STAGE, INIT)]
    entering = known("pivot", "change_root", "join_process")
    entered = next(n for n, op in enumerate(found) if op in entering)
    of_the_host = known(
        "mount_filesystem",
        "bind",
        "open_source",
        "open_proc",
        "propagate",
        "bind_root",
        "cgroup_enter",
        "make_device",
        "bind_device",
        "bring_up_loopback",
    )
    assert set(of_the_host) & set(found[entered:]) == set()


@pytest.mark.parametrize("name", PLANS)
def test_what_others_see_in_a_pid_namespace_is_the_command(name: str) -> None:
    """Where one is joined that has processes in it, its new one only becomes the command."""
    plan = PLANS[name]()
    if "clone_command" not in ops(plan):
        assert not any(step.op == "join_process" and step.args[0] & CLONE_NEWPID for step in plan)
        assert "hold_pids" not in ops(plan)
        return
    own = {"new_session", "control_terminal", "set_death_signal", "set_own_rlimit", "execute"}
    assert set(ops(plan, INIT)) <= own | {"await_start"}
    assert "execute" in ops(plan, INIT)
    stage = ops(plan, STAGE)
    assert stage[-2:] == ["close_descriptors", "clone_command"]
    # In a session of its own, /dev/tty is not the caller's terminal.
    assert "new_session" in stage
    entering = known("join_process", "enter_pids")
    entered = min(stage.index(op) for op in entering if op in stage)
    assert entered < stage.index("become_user")
    # What the stage forks after that is in there, and has what the stage has.
    forking = known("container_hook", "lend_sources", "clone_stage", "clone_init")
    assert set(stage[entered:]).isdisjoint(forking)


@pytest.mark.parametrize("name", PLANS)
def test_rights_are_dropped_in_order(name: str) -> None:
    plan = PLANS[name]()
    found = ops(plan, INIT)
    if "clone_command" in ops(plan):
        found = ops(plan, STAGE) + found
    wanted = [
        "install_descriptors",
        "resolve_user",
        "drop_bounding",  # needs CAP_SETPCAP
        "change_directory",
        "become_user",
        "verify_directory",
        "set_capabilities",
        "find_command",
        "close_descriptors",
        "execute",
    ]
    assert [op for op in found if op in wanted] == wanted
    keep = [n for n, op in enumerate(found) if op == "keep_capabilities"]
    assert keep[0] < found.index("become_user") < keep[1] < found.index("set_capabilities")
    # Where the process sets them itself in the end, the hard limits have been raised before.
    limits = "make_room" if "clone_command" in found else "set_own_rlimit"
    needing = known(limits, "no_new_privileges", "own_stdio")
    assert all(found.index(op) < found.index("become_user") for op in needing if op in found)


@pytest.mark.parametrize("name", [name for name in PLANS if name.startswith("exec")])
def test_a_further_process_has_its_score_and_groups_before_it_joins(name: str) -> None:
    """In a user namespace it may have no lower score than it inherits."""
    found = ops(PLANS[name]())
    early = known("set_own_oom_score_adj", "cgroup_enter")
    joins = found.index("join_process") if "join_process" in found else len(found)
    assert all(found.index(op) < joins for op in early if op in found)


@pytest.mark.parametrize("name", [name for name in PLANS if "user" in name or "rootless" in name])
def test_an_ordinary_users_process_hides_before_others_can_see_it(name: str) -> None:
    plan = PLANS[name]()
    found = ops(plan)
    roots = ("user-namespace", "joins-user-for-mounts", "joins-pid-new-user")
    if name in roots:  # the server is hidden already
        assert "make_undumpable" not in found
        return
    hidden = found.index("make_undumpable")
    entering = known("join", "join_process", "pivot")
    assert hidden < min(found.index(op) for op in entering if op in found)
    # The files are root's after it.
    mapped = [found.index(op) for op in known("write_id_map", "run_id_mapper") if op in found]
    assert bool(mapped) == (NEWUSER in made(plan))
    assert all(place < hidden for place in mapped)
    scored = [found.index(op) for op in known("set_own_oom_score_adj") if op in found]
    assert all(place < hidden for place in scored)


def made(plan: Plan) -> str:
    """The calls that make namespaces, in one text."""
    calls = [call for step in plan for call in step.calls]
    return "".join(call for call in calls if call.startswith(("clone3(", "unshare(")))


def test_a_container_is_in_its_groups_before_it_does_anything() -> None:
    for layout in (V1, V2):
        plan = start(config_with(*USUAL, NEWCGROUP, cgroups=Cgroup()), root(layout))
        found = ops(plan)
        if layout is V1:
            assert found.index("cgroup_enter") < found.index("unshare_cgroup")
            assert found.index("cgroup_enter") < found.index("new_session")
        else:
            clone = next(step for step in plan if step.op == "clone_init")
            assert clone.args[1] is True
            assert found.index("cgroup_open_directory") < found.index("clone_init")
        assert found.index("unshare_cgroup") < found.index("bind_root")
        assert found.index("cgroup_mkdir") < found.index("clone_init")


@pytest.mark.parametrize("kind", EVERY)
def test_one_namespace_of_each_kind(kind: str) -> None:
    """Given by path it is opened and joined and not made; exec joins it by the process."""
    path = f"/proc/9/ns/{PROC_NAMES[kind]}"
    plan = start(config_with((kind, path)), root())
    joins = [step for step in plan if step.op in ("join", "hold_pids", "enter_pids")]
    calls = [call for step in joins for call in step.calls]
    assert calls == [f'openat("{path}", O_RDONLY|O_CLOEXEC)', f"setns(CLONE_{kind})"]
    assert joins[0].why == "linux.namespaces[0]"
    clones = [call for step in plan if step.op.startswith("clone_") for call in step.calls]
    assert "CLONE_NEW" not in "".join(clones)
    assert "unshare_cgroup" not in ops(plan)
    plan = further(config_with(kind), root(), CLONE_FLAGS[kind])
    (join,) = [step for step in plan if step.op == "join_process"]
    assert ("clone_command" in ops(plan)) == (kind == NEWPID)
    assert f"setns(CLONE_{kind})" in join.calls
    assert ("change_root" in ops(plan)) == (kind != NEWNS)


def test_the_environment_has_each_name_once() -> None:
    env = ["A=1", "B=2", "PATH=/a", "A=3", "HOME=", "PATH=/b:/c"]
    plan = start(config_with(*USUAL), root(), env=env, args=["tool"])
    assert plan.steps[-1].args == (("tool",), ("B=2", "A=3", "HOME=", "PATH=/b:/c"))
    find = next(step for step in plan if step.op == "find_command")
    assert find.args == ("tool", "/b:/c")


def test_read_only_comes_when_all_is_in_place() -> None:
    config = config_with(
        *USUAL,
        mounts=[Mount("/dev", "tmpfs", "tmpfs", MS_RDONLY)],
        devices=[Device("/dev/null", "c", 1, 3)],
        readonlyfs=True,
    )
    found = ops(start(config, root(), cwd="/work"))
    assert found.index("make_device") < found.index("remount")
    assert found.index("make_directory") < found.index("make_root_read_only")


def test_sysctls_are_written_before_they_are_read_only() -> None:
    config = config_with(*USUAL, sysctl={"kernel.sem": "1"}, readonly_paths=["/proc/sys"])
    found = ops(start(config, root()))
    assert found.index("write_sysctl") < found.index("make_read_only")


def test_hooks_have_their_place_and_arguments() -> None:
    plan = PLANS["hooks"]()
    found = ops(plan)
    hooks = {step.why: step for step in plan if step.op.endswith("_hook")}
    at = {step.why: number for number, step in enumerate(plan)}
    assert found.index("cgroup_write") < at["hooks.prestart[0]"]  # limits are in force
    assert found.index("bind_root") < at["hooks.prestart[0]"]
    assert at["hooks.createContainer[0]"] < found.index("pivot")
    assert found.index("close_descriptors") < at["hooks.startContainer[0]"]
    assert at["hooks.startContainer[1]"] == found.index("execute") - 1
    assert plan.steps[found.index("prepare_wait")].args == (True, False)
    text = '{"ociVersion":"1.3.0","id":"box","status":"creating","bundle":""}'
    runtime = hooks["hooks.createRuntime[0]"]
    assert runtime.args == ("createRuntime", "/b", ("b", "one"), ("A=2",), 5, text, "", False)
    inside = hooks["hooks.createContainer[0]"]
    assert inside.args == ("createContainer", "/c", ("/c",), (), 0, text, False)
    processes = {place.partition("[")[0]: step.process for place, step in hooks.items()}
    assert processes == {
        "hooks.prestart": RUNTIME,
        "hooks.createRuntime": RUNTIME,
        "hooks.createContainer": INIT,
        "hooks.startContainer": INIT,
        "hooks.poststart": STARTER,
        "hooks.poststop": DELETER,
    }
    sent = [number for _, steps in plan.segments() for number, *_ in steps]
    assert sent == list(range(1, len(plan) - 2))


def test_a_hook_in_the_started_container_has_the_commands_environment() -> None:
    hooks = Hooks(start_container=[Hook("/d"), Hook("/d", env=["B=1"])])
    plan = start(config_with(*USUAL, hooks=hooks), root(), env=["A=1", "C=2", "A=3"])
    found = [step.args for step in plan if step.op == "container_hook"]
    assert [(args[3], args[-1]) for args in found] == [(("C=2", "A=3"), True), (("B=1",), False)]


def test_only_hooks_in_the_started_container_need_the_interpreter() -> None:
    for hooks in (None, Hooks(), Hooks(prestart=[Hook("/a")], poststart=[Hook("/a")])):
        plan = start(config_with(*USUAL, hooks=hooks), root())
        assert [step.args for step in plan if step.op == "prepare_wait"] == [(False, False)]


@pytest.mark.parametrize("name", PLANS)
def test_what_waits_for_its_start_has_closed_all_before_it_is_created(name: str) -> None:
    found = ops(PLANS[name]())
    if "await_start" in found:
        order = ["prepare_wait", "close_descriptors", "record_created", "await_start"]
        assert [op for op in found if op in order] == order


# --- steps ---------------------------------------------------------------------------------


def test_steps_are_values() -> None:
    one = Step("open_proc", (1, "a"), "root.path")
    assert one == Step("open_proc", (1, "a"), "root.path")
    assert one != Step("open_proc", (1, "b"), "root.path")
    assert repr(one) == "Step('open_proc', (1, 'a'), 'root.path', '', '')"
    with pytest.raises(TypeError):
        hash(one)


def test_segments_are_runs_of_one_process() -> None:
    plan = Plan()
    plan.add(RUNTIME, "a", [Step("pivot"), Step("mask", (1,))])
    plan.add(RUNTIME, "b", [Step("new_session")])
    plan.add(INIT, "b", [])
    plan.add(INIT, "c", [Step("pivot")])
    pivot = "rootfs.root.pivot"
    assert plan.segments() == [
        (
            RUNTIME,
            [
                (1, pivot, ()),
                (2, "rootfs.masks.mask", (1,)),
                (3, "bootstrap.namespaces.new_session", ()),
            ],
        ),
        (INIT, [(4, pivot, ())]),
    ]
    assert len(plan) == 4
    assert [step.phase for step in plan] == ["a", "a", "b", "c"]


def test_an_operation_has_one_performer() -> None:
    with pytest.raises(ValueError, match="two operations are called 'open_proc'"):

        @operation(Performers("rootfs.root").again, "again")
        def open_proc() -> list[str]:
            return []


def test_a_network_namespace_is_ready_only_for_who_can_return_from_it() -> None:
    config = config_with(*USUAL)
    ops = {
        userns: [step.op for step in start(config, Host(userns=userns))] for userns in (False, True)
    }
    assert "get_network" in ops[False]
    assert "get_network" not in ops[True]
    assert "bring_up_loopback" in ops[True]


@pytest.mark.parametrize("flags", [CLONE_NEWNS, CLONE_NEWNS | CLONE_NEWPID])
def test_the_first_cpus_come_before_the_groups_and_the_others_after(flags: int) -> None:
    affinity = CPUAffinity([0], [1, 2])
    entries = {"v1": "cgroup_enter", "v2": "cgroup_join"}
    for version, host in (("v1", root(layout=V1)), ("v2", root(layout=V2))):
        plan = further(from_spec(), host, flags, cpu_affinity=affinity, reset_affinity=True)
        at = [(step.op, step.args) for step in plan]
        entry = [op for op, _ in at].index(entries[version])
        assert at.index(("set_affinity", ((0,),))) < entry
        assert at.index(("set_affinity", ((1, 2),))) > entry
        assert "reset_affinity" not in ops(plan)
        (clone,) = [args for op, args in at if op in ("clone_stage", "clone_init")]
        assert version == "v1" or not clone[-1]  # else it would be in the group from the start
    plan = further(from_spec(), root(layout=V2), flags, reset_affinity=True)
    assert "reset_affinity" in ops(plan)
    assert "reset_affinity" not in ops(further(from_spec(), root(layout=V2), flags))
