"""The steps that managers plan, for hosts that are not this one."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from libct.cgroups import choose as cgroups
from libct.cgroups.layout import Hierarchy, Layout
from libct.cgroups.limits import v1, v2
from libct.cgroups.limits.setting import asked
from libct.config import Cgroup, DeviceRule, Resources
from libct.errors import CgroupError

if TYPE_CHECKING:
    from libct.cgroups.manager import Manager
    from libct.plan.step import Step

ROOT = "/sys/fs/cgroup"


def v1_layout(*controllers: str, unified: bool = False, userns: bool = False) -> Layout:
    return Layout(
        "hybrid" if unified else "v1",
        {name: Hierarchy(f"{ROOT}/{name}", own="/shell") for name in controllers},
        Hierarchy(f"{ROOT}/unified") if unified else None,
        userns=userns,
    )


def v2_layout(own: str = "/user.slice/session-1.scope", root: str = "/") -> Layout:
    return Layout(
        "v2",
        unified=Hierarchy(ROOT, root, own),
        v2_controllers=("cpuset", "cpu", "io", "memory", "pids"),
    )


V1 = v1_layout("cpu", "cpuset", "memory", "pids", "devices", "freezer")


def limits(layout: Layout, resources: Resources) -> list[tuple[object, ...]]:
    """The steps of limits, without those of the groups themselves: (op, why, *arguments)."""
    resources.skip_devices = True
    planned = cgroups.new(Cgroup(resources=resources), "c1", layout).create_steps()
    setup = ("cgroup_mkdir", "cgroup_cpuset_v1", "cgroup_enable_controllers")
    return [
        (step.op, step.why.replace("linux.resources.", ""), *step.args)
        for step in planned
        if step.op not in setup
    ]


def values(planned: list[Step]) -> list[tuple[object, ...]]:
    return [(step.op, *step.args) for step in planned]


def group(made: Manager) -> str | None:
    return made.paths().get("memory", made.paths().get(""))


# --- where ---


@pytest.mark.parametrize(
    ("cgroup", "path"),
    [
        (Cgroup(), "libct-c1"),
        (Cgroup(name="c1"), "c1"),
        (Cgroup(name="web"), "web"),
        (Cgroup(name="web", parent="/shop"), "shop/web"),
        (Cgroup(name="web", parent="shop"), "shop/web"),
        (Cgroup(parent="shop"), "shop/c1"),
        (Cgroup(path="/a/b"), "a/b"),
        (Cgroup(path="a//b/./c/"), "a/b/c"),
    ],
)
def test_v1_groups_are_below_the_mount_point(cgroup: Cgroup, path: str) -> None:
    assert group(cgroups.new(cgroup, "c1", V1)) == f"{ROOT}/memory/{path}"


@pytest.mark.parametrize(
    ("own", "path", "directory"),
    [
        ("/user.slice/session-1.scope", "", f"{ROOT}/user.slice/libct-c1"),
        ("/user.slice/session-1.scope", "a/b", f"{ROOT}/user.slice/a/b"),
        ("/user.slice/session-1.scope", "/a/b", f"{ROOT}/a/b"),
        ("/session", "a", f"{ROOT}/a"),
        ("/", "a", f"{ROOT}/a"),
        ("/../other", "a", f"{ROOT}/a"),
    ],
)
def test_v2_groups_are_beside_our_own(own: str, path: str, directory: str) -> None:
    made = cgroups.new(Cgroup(path=path), "c1", v2_layout(own))
    assert made.paths() == {"": directory}
    assert made.cgroup_directory() == directory


def test_v2_groups_are_below_a_root_that_is_not_the_tree_s() -> None:
    made = cgroups.new(Cgroup(), "c1", v2_layout("/docker/4e1/a/b", "/docker/4e1"))
    assert made.paths() == {"": f"{ROOT}/a/libct-c1"}


@pytest.mark.parametrize("path", ["../a", "/a/../../b", "a/.."])
@pytest.mark.parametrize("layout", [V1, v2_layout()])
def test_a_path_does_not_lead_upwards(path: str, layout: Layout) -> None:
    made = cgroups.new(Cgroup(path=path), "c1", layout)
    assert made.problems() == [("linux.cgroupsPath", f"has '..': {path!r}")]
    with pytest.raises(CgroupError, match=r"has '\.\.'"):
        made.create_steps()


@pytest.mark.parametrize("path", ["/", "//", "./"])
def test_a_path_is_not_the_root(path: str) -> None:
    made = cgroups.new(Cgroup(path=path), "c1", V1)
    assert made.problems() == [("linux.cgroupsPath", f"names no group below the root: {path!r}")]


def test_a_path_has_no_line_break() -> None:
    assert "line break" in str(cgroups.new(Cgroup(path="/a\nb"), "c1", V1).problems())


def test_controllers_mounted_together_have_one_group() -> None:
    both = Hierarchy(f"{ROOT}/cpu,cpuacct")
    layout = Layout("v1", {"cpu": both, "cpuacct": both})
    made = cgroups.new(Cgroup(resources=Resources(skip_devices=True)), "c1", layout)
    assert values(made.create_steps()) == [("cgroup_mkdir", both.mount, "libct-c1", 0)]
    assert made.directories() == [f"{both.mount}/libct-c1"]
    assert set(made.paths()) == {"cpu", "cpuacct"}


# --- whole plans ---


def test_a_plan_for_v1() -> None:
    resources = Resources(memory=1 << 26, pids_limit=100, devices=[DeviceRule(allow=False)])
    made = cgroups.new(Cgroup(path="/a/b", resources=resources), "c1", V1)
    assert values(made.create_steps()) == [
        ("cgroup_mkdir", f"{ROOT}/cpu", "a/b", 0),
        ("cgroup_mkdir", f"{ROOT}/cpuset", "a/b", 0),
        ("cgroup_mkdir", f"{ROOT}/memory", "a/b", 0),
        ("cgroup_mkdir", f"{ROOT}/pids", "a/b", 0),
        ("cgroup_mkdir", f"{ROOT}/devices", "a/b", 0),
        ("cgroup_mkdir", f"{ROOT}/freezer", "a/b", 0),
        ("cgroup_cpuset_v1", f"{ROOT}/cpuset", "a/b", "", "", "cpuset.", 0),
        ("cgroup_write", f"{ROOT}/memory/a/b/memory.limit_in_bytes", "67108864", 0),
        ("cgroup_write", f"{ROOT}/pids/a/b/pids.max", "100", 0),
        (
            "cgroup_devices_v1",
            f"{ROOT}/devices/a/b",
            "deny",
            (
                "c *:* m",
                "b *:* m",
                "c 1:3 rwm",
                "c 1:8 rwm",
                "c 1:7 rwm",
                "c 5:0 rwm",
                "c 1:5 rwm",
                "c 1:9 rwm",
                "c 136:* rwm",
                "c 5:2 rwm",
                "c 10:200 rwm",
            ),
            1,
        ),
    ]


def test_a_plan_for_v2() -> None:
    resources = Resources(
        memory=1 << 26, pids_limit=0, cpuset_cpus="0-1", devices=[DeviceRule(allow=True)]
    )
    made = cgroups.new(Cgroup(resources=resources), "c1", v2_layout())
    directory = f"{ROOT}/user.slice/libct-c1"
    assert values(made.create_steps()) == [
        ("cgroup_mkdir", ROOT, "user.slice/libct-c1", 0),
        (
            "cgroup_enable_controllers",
            ROOT,
            "user.slice/libct-c1",
            ("pids", "memory", "cpuset"),
        ),
        ("cgroup_write", f"{directory}/pids.max", "1", 0),
        ("cgroup_write", f"{directory}/memory.max", "67108864", 0),
        ("cgroup_write", f"{directory}/cpuset.cpus", "0-1", 0),
        ("cgroup_devices_v2", directory, "allow", (), 0),
    ]
    assert made.entry_steps() == ([], [], [])
    assert values(made.directory_steps()) == [("cgroup_open_directory", directory, 0)]
    assert values(made.join_steps()) == [("cgroup_join", (directory,), ())]


def test_a_process_enters_v1_groups_by_itself() -> None:
    made = cgroups.new(Cgroup(), "c1", v1_layout("memory", "devices", unified=True))
    required = (f"{ROOT}/memory/libct-c1", f"{ROOT}/devices/libct-c1")
    unified = f"{ROOT}/unified/libct-c1"
    before, inside, after = made.entry_steps()
    assert values(before) == [("cgroup_open", required, ())]
    assert values(inside) == [("cgroup_enter", required, ())]
    assert values(after) == [("cgroup_close", required)]
    # It is cloned into the v2 one; that is no reason to fail.
    assert values(made.directory_steps()) == [("cgroup_open_directory", unified, 1)]
    assert values(made.join_steps()) == [("cgroup_join", required, (unified,))]


def test_every_step_says_what_asks_for_it() -> None:
    resources = Resources(memory=1, memory_swap=2, cpu_shares=3, cpu_quota=4, pids_limit=5)
    for layout in (V1, v2_layout()):
        made = cgroups.new(Cgroup(resources=resources), "c1", layout)
        planned = [*made.create_steps(), *made.join_steps(), *made.directory_steps()]
        for steps in made.entry_steps():
            planned += steps
        assert len(planned) > 5
        for step in planned:
            assert step.why.startswith("linux."), step
            assert step.title
            assert all(call.endswith(")") for call in step.calls)


def test_a_delegated_v2_group_changes_hands() -> None:
    cgroup = Cgroup(owner_uid=1000, resources=Resources(skip_devices=True))
    planned = values(cgroups.new(cgroup, "c1", v2_layout()).create_steps())
    assert ("cgroup_chown", f"{ROOT}/user.slice/libct-c1", 1000, 0) in planned


@pytest.mark.parametrize(
    ("cgroup", "path"),
    [
        (Cgroup(name="web"), "user.slice/run-1.scope/web"),
        (Cgroup(path="a/b"), "user.slice/run-1.scope/a/b"),
        (Cgroup(path="/user.slice/run-1.scope/c"), "user.slice/run-1.scope/c"),
    ],
)
def test_a_command_line_leaves_its_group_for_one_below(cgroup: Cgroup, path: str) -> None:
    layout = v2_layout(own="/user.slice/run-1.scope")
    layout.aside = True
    cgroup.resources.skip_devices = True
    planned = values(cgroups.new(cgroup, "c1", layout).create_steps())
    assert planned[:2] == [
        ("cgroup_step_aside", f"{ROOT}/user.slice/run-1.scope"),
        ("cgroup_mkdir", ROOT, path, 0),
    ]


@pytest.mark.parametrize("path", ["/user.slice/run-1.scope2/c", "/a"])
def test_a_command_line_stays_in_its_group_for_one_elsewhere(path: str) -> None:
    layout = v2_layout(own="/user.slice/run-1.scope")
    layout.aside = True
    planned = values(cgroups.new(Cgroup(path=path), "c1", layout).create_steps())
    assert planned[0] == ("cgroup_mkdir", ROOT, path[1:], 0)


# --- limits of v1 ---


def write_v1(where: str, path: str, value: str) -> tuple[object, ...]:
    return ("cgroup_write", where, f"{ROOT}/{path.replace('/', '/libct-c1/')}", value, 0)


def group_v1(where: str, controller: str, *settings: tuple[str, str, int]) -> tuple[object, ...]:
    return ("cgroup_write_group", where, f"{ROOT}/{controller}/libct-c1", settings)


V1_LIMITS = [
    (Resources(), []),
    (Resources(pids_limit=-1), [write_v1("pids.limit", "pids/pids.max", "max")]),
    (
        Resources(memory=300, memory_swap=400, memory_reservation=200),
        [
            group_v1(
                "memory.limit",
                "memory",
                ("memory.limit_in_bytes", "300", 0),
                ("memory.memsw.limit_in_bytes", "400", 0),
            ),
            write_v1("memory.reservation", "memory/memory.soft_limit_in_bytes", "200"),
        ],
    ),
    (
        Resources(memory=-1),
        [
            group_v1(
                "memory.limit",
                "memory",
                ("memory.limit_in_bytes", "-1", 0),
                ("memory.memsw.limit_in_bytes", "-1", 1),
            ),
        ],
    ),
    (
        Resources(cpu_shares=512, cpu_quota=50000, cpu_period=100000, cpu_burst=1000, cpu_idle=0),
        [
            write_v1("cpu.idle", "cpu/cpu.idle", "0"),
            write_v1("cpu.shares", "cpu/cpu.shares", "512"),
            group_v1(
                "cpu",
                "cpu",
                ("cpu.cfs_period_us", "100000", 0),
                ("cpu.cfs_burst_us", "1000", 0),
                ("cpu.cfs_quota_us", "50000", 0),
            ),
        ],
    ),
    # The kernel refuses shares of an idle group.
    (Resources(cpu_shares=512, cpu_idle=1), [write_v1("cpu.idle", "cpu/cpu.idle", "1")]),
]


@pytest.mark.parametrize(("resources", "planned"), V1_LIMITS)
def test_limits_of_v1(resources: Resources, planned: list[tuple[object, ...]]) -> None:
    assert limits(V1, resources) == planned


def test_a_requested_cpuset_of_v1() -> None:
    resources = Resources(cpuset_cpus="1", cpuset_mems="0", skip_devices=True)
    planned = cgroups.new(Cgroup(resources=resources), "c1", v1_layout("cpuset")).create_steps()
    assert values(planned)[1:] == [
        ("cgroup_cpuset_v1", f"{ROOT}/cpuset", "libct-c1", "1", "0", "cpuset.", 0)
    ]


@pytest.mark.parametrize("shares", [1, 262145])
def test_shares_that_the_kernel_would_change_are_refused(shares: int) -> None:
    made = cgroups.new(Cgroup(resources=Resources(cpu_shares=shares)), "c1", V1)
    assert made.problems() == [
        ("linux.resources.cpu.shares", f"must be from 2 to 262144, is {shares}")
    ]


# --- limits of v2 ---


def write_v2(where: str, file: str, value: str, if_there: int = 0) -> tuple[object, ...]:
    path = f"{ROOT}/user.slice/libct-c1/{file}"
    return ("cgroup_write", where, path, value, if_there)


def group_v2(where: str, *settings: tuple[str, str, int]) -> tuple[object, ...]:
    return ("cgroup_write_group", where, f"{ROOT}/user.slice/libct-c1", settings)


V2_LIMITS = [
    (Resources(), []),
    (Resources(pids_limit=7), [write_v2("pids.limit", "pids.max", "7")]),
    (
        Resources(memory=300, memory_swap=400, memory_reservation=200),
        [
            group_v2("memory.limit", ("memory.swap.max", "100", 0), ("memory.max", "300", 0)),
            write_v2("memory.reservation", "memory.low", "200"),
        ],
    ),
    (
        Resources(memory=300, memory_swap=300),
        [group_v2("memory.limit", ("memory.swap.max", "0", 1), ("memory.max", "300", 0))],
    ),
    (
        Resources(memory=-1),
        [group_v2("memory.limit", ("memory.swap.max", "max", 1), ("memory.max", "max", 0))],
    ),
    (Resources(cpu_shares=1024), [write_v2("cpu.shares", "cpu.weight", "100")]),
    (Resources(cpu_shares=2, cpu_weight=500), [write_v2("cpu.shares", "cpu.weight", "500")]),
    (Resources(cpu_shares=512, cpu_idle=1), [write_v2("cpu.idle", "cpu.idle", "1")]),
    (Resources(cpu_quota=5000), [write_v2("cpu.quota", "cpu.max", "5000 100000")]),
    (
        Resources(cpu_quota=-1, cpu_period=50000),
        [write_v2("cpu", "cpu.max", "max 50000")],
    ),
    (Resources(cpu_period=50000), [write_v2("cpu.period", "cpu.max", "max 50000")]),
    (
        Resources(cpu_quota=5000, cpu_burst=100),
        [group_v2("cpu", ("cpu.max.burst", "100", 0), ("cpu.max", "5000 100000", 0))],
    ),
    (
        Resources(cpuset_cpus="0-1", cpuset_mems="0"),
        [write_v2("cpu.cpus", "cpuset.cpus", "0-1"), write_v2("cpu.mems", "cpuset.mems", "0")],
    ),
]


@pytest.mark.parametrize(("resources", "planned"), V2_LIMITS)
def test_limits_of_v2(resources: Resources, planned: list[tuple[object, ...]]) -> None:
    assert limits(v2_layout(), resources) == planned


def test_swap_that_v2_cannot_express_is_refused() -> None:
    made = cgroups.new(Cgroup(resources=Resources(memory=300, memory_swap=200)), "c1", v2_layout())
    assert made.problems() == [
        ("linux.resources.memory.swap", "is less than the limit of memory, 300")
    ]


def test_memory_is_checked_before_it_is_limited_further() -> None:
    resources = Resources(memory=300, memory_check_before_update=True, skip_devices=True)
    made = cgroups.load(Cgroup(), {"": f"{ROOT}/a"})
    assert values(made.limit_steps(resources)) == [
        ("cgroup_check_memory", f"{ROOT}/a", 300),
        ("cgroup_write", f"{ROOT}/a/memory.max", "300", 0),
    ]


# --- what the host lacks ---


def test_a_missing_controller_matters_only_for_its_limits() -> None:
    layout = v1_layout("devices")
    assert cgroups.new(Cgroup(), "c1", layout).problems() == []
    resources = Resources(memory=1, pids_limit=0, cpu_quota=1, cpuset_mems="0")
    found = cgroups.new(Cgroup(resources=resources), "c1", layout).problems()
    assert [where for where, _ in found] == [
        "linux.resources.cpu.mems",
        "linux.resources.memory.limit",
        "linux.resources.cpu.quota",
        "linux.resources.pids.limit",
    ]
    assert found[1][1] == (
        "the memory controller of cgroup v1 is not mounted: if the kernel has it,"
        " mount -t cgroup -o memory memory /sys/fs/cgroup/memory"
    )


def test_a_controller_that_v2_does_not_offer() -> None:
    layout = v2_layout()
    layout.v2_controllers = ("hugetlb",)
    made = cgroups.new(Cgroup(resources=Resources(memory=1)), "c1", layout)
    ((where, what),) = made.problems()
    assert where == "linux.resources.memory.limit"
    assert what.startswith("the memory controller is not available to cgroup v2: ")
    assert what.endswith("(systemd: Delegate=yes)")
    unknown = Cgroup(resources=Resources(unified={"memori.max": "5"}, skip_devices=True))
    ((where, what),) = cgroups.new(unknown, "c1", v2_layout()).problems()
    assert where == "linux.resources.unified.memori.max"
    assert what == "cgroup v2 has no memori controller here, and libct knows none of this name"


def test_access_to_devices_must_be_limited() -> None:
    for layout in (v1_layout("memory"), Layout("none")):
        assert [where for where, _ in cgroups.new(Cgroup(), "c1", layout).problems()] == [
            "linux.resources.devices"
        ]


def test_without_privilege_or_need_devices_are_not() -> None:
    layout = v1_layout("memory")
    assert cgroups.new(Cgroup(rootless=True), "c1", layout).problems() == []
    assert (
        cgroups.new(Cgroup(resources=Resources(skip_devices=True)), "c1", layout).problems() == []
    )
    inside = v1_layout("memory", "devices", userns=True)
    planned = cgroups.new(Cgroup(), "c1", inside).create_steps()
    assert "cgroup_devices_v1" not in [step.op for step in planned]


def test_exceptions_that_v1_does_not_list_are_not_written_again() -> None:
    """Those from a default to allow; other rules are compared with what the group has."""
    some, others = (Resources(devices=[DeviceRule("a"), rule]) for rule in _DENIED)
    made = cgroups.new(Cgroup(resources=some), "c1", v1_layout("devices"))
    assert made.limit_steps(some) == []
    assert [step.op for step in made.limit_steps(others)] == ["cgroup_devices_v1"]
    assert [step.op for step in made.device_steps(some)] == ["cgroup_devices_v1"]
    none = cgroups.new(Cgroup(), "c1", v1_layout("devices"))
    assert [step.op for step in none.limit_steps(Resources())] == ["cgroup_devices_v1"]


_DENIED = [DeviceRule("c", 1, minor, "r", allow=False) for minor in (4, 11)]


def test_a_host_without_control_groups() -> None:
    made = cgroups.new(Cgroup(rootless=True), "c1", Layout("none"))
    assert made.create_steps() == made.join_steps() == made.directory_steps() == []
    assert made.entry_steps() == ([], [], [])
    assert made.pids() == made.all_pids() == []
    assert not any((made.exists(), made.populated(), made.frozen()))
    made.kill()
    made.thaw()
    assert made.oom_kill_count() == 0


def test_without_privilege_only_limits_make_groups_necessary() -> None:
    layout = v1_layout("memory", "pids")
    cgroup = Cgroup(rootless=True, resources=Resources(pids_limit=10))
    made = cgroups.new(cgroup, "c1", layout)
    assert values(made.create_steps())[:2] == [
        ("cgroup_mkdir", f"{ROOT}/memory", "libct-c1", 1),
        ("cgroup_mkdir", f"{ROOT}/pids", "libct-c1", 0),
    ]
    pids, memory = (f"{ROOT}/pids/libct-c1",), (f"{ROOT}/memory/libct-c1",)
    assert values(made.entry_steps()[0]) == [("cgroup_open", pids, memory)]
    without = cgroups.new(Cgroup(rootless=True), "c1", v2_layout())
    assert without.create_steps()[0].args[-1] == 1
    assert values(without.directory_steps())[0][-1] == 1
    limited = Cgroup(rootless=True, resources=Resources(memory=1))
    assert cgroups.new(limited, "c1", v2_layout()).create_steps()[0].args[-1] == 0


# --- all that can be asked for ---


def test_every_field_of_resources_is_a_setting() -> None:
    """A field that is added to the record must not be ignored."""
    others = {"devices", "memory_check_before_update", "skip_devices", "skip_freeze_on_set"}
    others |= {"hugetlb_limit", "net_prio_ifpriomap", "rdma", "freezer"}  # see LIMITS
    for name, default in vars(Resources)["_fields"].items():
        if name in others or name.endswith("_device"):
            continue
        sample = {"cgroup.x": "7"} if default == {} else "7" if default == "" else 7
        resources = Resources()
        setattr(resources, name, sample)
        assert v1.settings(resources) or v2.settings(resources), name


def test_nothing_is_a_limit_of_nothing() -> None:
    assert v1.settings(Resources()) == v2.settings(Resources()) == []
    for version in (v1, v2):
        assert asked(version.settings(Resources(cpu_idle=0, cpu_burst=0, pids_limit=0))) == {
            "cpu": "linux.resources.cpu.idle",
            "pids": "linux.resources.pids.limit",
        }


def test_the_systemd_driver_is_refused() -> None:
    made = cgroups.new(Cgroup(systemd=True, parent="a.slice", name="b"), "c1", V1)
    assert "systemd" in made.problems()[0][1]


# --- a copy without the package for devices ---


@pytest.fixture
def without_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name.startswith("libct.cgroups.devices"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("libct.cgroups.devices", raising=False)

    class Hidden:
        def find_spec(self, name: str, path: object = None, target: object = None) -> None:
            if name == "libct.cgroups.devices":
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr(sys, "meta_path", [Hidden(), *sys.meta_path])


@pytest.mark.usefixtures("without_devices")
@pytest.mark.parametrize("layout", [V1, v2_layout()])
def test_a_copy_without_devices_refuses_rules_and_says_so(layout: Layout) -> None:
    resources = Resources(devices=[DeviceRule(allow=False)])
    made = cgroups.new(Cgroup(resources=resources), "c1", layout)
    assert made.problems() == [
        (
            "linux.resources.devices",
            "this copy of libct cannot apply device rules: it has no libct.cgroups.devices",
        )
    ]


@pytest.mark.usefixtures("without_devices")
@pytest.mark.parametrize("layout", [V1, v2_layout()])
def test_a_copy_without_devices_plans_without_rules(layout: Layout) -> None:
    planned = cgroups.new(Cgroup(), "c1", layout).create_steps()
    assert not [step for step in planned if "devices" in step.op]


# --- saved and loaded ---


def test_a_manager_is_loaded_from_its_paths() -> None:
    for layout in (V1, v1_layout("pids", unified=True), v2_layout()):
        resources = Resources(skip_devices=True, pids_limit=5)
        made = cgroups.new(Cgroup(resources=resources), "c1", layout)
        loaded = cgroups.load(made.cgroup, made.paths())
        assert type(loaded) is type(made)
        assert loaded.paths() == made.paths()
        assert loaded.entry_steps() == made.entry_steps()
        assert loaded.join_steps() == made.join_steps()
        assert loaded.directory_steps() == made.directory_steps()
        assert values(loaded.limit_steps(resources)) == values(made.limit_steps(resources))


def test_a_loaded_manager_refuses_limits_it_has_no_group_for() -> None:
    loaded = cgroups.load(Cgroup(), {"pids": f"{ROOT}/pids/a"})
    with pytest.raises(CgroupError, match=r"memory\.limit: the memory controller"):
        loaded.limit_steps(Resources(memory=1, skip_devices=True))


@pytest.mark.parametrize("path", ["", "devices"])
def test_bad_changes_are_refused(path: str) -> None:
    loaded = cgroups.load(Cgroup(), {path: f"{ROOT}/a"})
    with pytest.raises(CgroupError, match=r"devices\[1\]: type must be"):
        loaded.set(Resources(devices=[DeviceRule("c", 1, 3), DeviceRule("x")]))
    with pytest.raises(CgroupError, match=r"cpu\.shares: must be|memory\.swap: is less"):
        loaded.set(Resources(cpu_shares=1, memory=300, memory_swap=200))


def test_paths_are_a_copy() -> None:
    made = cgroups.new(Cgroup(), "c1", V1)
    made.paths().clear()
    assert made.paths()


def test_groups_below_are_required_and_say_who_asks() -> None:
    paths = {name: f"{ROOT}/{name}/c" for name in ("memory", "pids")}
    paths |= {"cpu": f"{ROOT}/cpu,cpuacct/c", "cpuacct": f"{ROOT}/cpu,cpuacct/c"}
    made = cgroups.load(Cgroup(rootless=True), paths)
    below = made.below({"pids": "a/b", "cpu": "/a/"})
    # One hierarchy is entered once, whatever controllers share it.
    assert below.paths() == {
        "memory": f"{ROOT}/memory/c",
        "pids": f"{ROOT}/pids/c/a/b",
        "cpu": f"{ROOT}/cpu,cpuacct/c/a",
        "cpuacct": f"{ROOT}/cpu,cpuacct/c/a",
    }
    before, _, _ = below.entry_steps()
    asked = (f"{ROOT}/pids/c/a/b", f"{ROOT}/cpu,cpuacct/c/a")
    assert values(before) == [("cgroup_open", asked, (f"{ROOT}/memory/c",))]
    assert before[0].why == "sub_cgroup_paths"
    assert made.below({"": "x"}).directories() == [f"{path}/x" for path in made.directories()]


def test_a_group_below_that_of_v2() -> None:
    made = cgroups.load(Cgroup(rootless=True), {"": f"{ROOT}/c"})
    assert values(made.directory_steps()) == [("cgroup_open_directory", f"{ROOT}/c", 1)]
    below = made.below({"": "x"})
    assert values(below.directory_steps()) == [("cgroup_open_directory", f"{ROOT}/c/x", 0)]
    with pytest.raises(CgroupError, match="unknown controller memory"):
        made.below({"memory": "x"})


@pytest.mark.parametrize("path", ["..", "a/..", "../c-other", "/..", "a\0"])
def test_a_path_below_does_not_lead_out(path: str) -> None:
    for paths in ({"": f"{ROOT}/c"}, {"memory": f"{ROOT}/memory/c"}):
        with pytest.raises(CgroupError, match="is not a sub cgroup path"):
            cgroups.load(Cgroup(), paths).below({"": path})


@pytest.mark.parametrize("layout", [V1, v2_layout()], ids=["v1", "v2"])
def test_without_privilege_a_path_that_is_asked_for_is_required(layout: Layout) -> None:
    for cgroup, optional in ((Cgroup(path="/a"), 0), (Cgroup(name="a"), 1)):
        cgroup.rootless = True
        made = cgroups.new(cgroup, "c1", layout)
        found = [args[-1] for op, *args in values(made.create_steps()) if op == "cgroup_mkdir"]
        assert set(found) == {optional}
