"""What the unit of a container is called, what properties it has, and what is planned of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libct.cgroups import choose
from libct.cgroups.layout import Hierarchy, Layout
from libct.cgroups.systemd import names, stopping, units
from libct.cgroups.systemd.description import described, has_mark
from libct.cgroups.systemd.facts import Systemd
from libct.cgroups.systemd.manager import SystemdManager
from libct.cgroups.systemd.properties import (
    NO_LIMIT,
    _quota,
    bitmask,
    device_properties,
    for_files,
    io_weight,
    limit_properties,
    unit_properties,
)
from libct.cgroups.systemd.update import in_order
from libct.cgroups.systemd.variant import parse, property_of
from libct.config import Cgroup, Config, Namespace, Resources
from libct.config.cgroup import ThrottleDevice, WeightDevice
from libct.config.namespace import NEWCGROUP, NEWNS, NEWPID
from libct.errors import CgroupError, SystemdError
from libct.life.host import Host
from libct.life.process import Process
from libct.plan.container import plan_start

if TYPE_CHECKING:
    from libct.cgroups.manager import Manager
    from libct.plan.step import Plan

ROOT = "/sys/fs/cgroup"
USERS = "/user.slice/user-1000.slice/user@1000.service"
V2_CONTROLLERS = ("cpuset", "cpu", "io", "memory", "pids")


def v2_layout() -> Layout:
    return Layout("v2", unified=Hierarchy(ROOT), v2_controllers=V2_CONTROLLERS, systemd=True)


def v1_layout() -> Layout:
    used = ("name=systemd", "cpu", "cpuset", "memory", "pids", "devices", "freezer", "blkio")
    found = {name: Hierarchy(f"{ROOT}/{name.removeprefix('name=')}") for name in used}
    return Layout("v1", found, systemd=True)


def new(cgroup: Cgroup, layout: Layout | None = None, facts: Systemd | None = None) -> Manager:
    cgroup.systemd = True
    return choose.new(cgroup, "c1", layout or v2_layout(), facts or Systemd(252))


# --- names ---


@pytest.mark.parametrize(
    ("cgroup", "group"),
    [
        (Cgroup(), "system.slice/libct-c1.scope"),
        (Cgroup("c1", scope_prefix="libct"), "system.slice/libct-c1.scope"),
        (Cgroup("web", "shop.slice", scope_prefix="cri"), "shop.slice/cri-web.scope"),
        (Cgroup("web", "a-b.slice", scope_prefix="x"), "a.slice/a-b.slice/x-web.scope"),
        (Cgroup("web", "-.slice", scope_prefix="x"), "x-web.scope"),
        (Cgroup("web", "a.slice"), "a.slice/-web.scope"),  # as runc calls it
        (Cgroup("a-b.slice", "c.slice", scope_prefix="x"), "a.slice/a-b.slice"),
        (Cgroup("1+1", scope_prefix="x"), r"system.slice/x-1\x2b1.scope"),
        (Cgroup("é", scope_prefix="x"), r"system.slice/x-\xc3\xa9.scope"),
        (Cgroup(r"a\x2db", scope_prefix="x"), r"system.slice/x-a\x2db.scope"),
        # What could be a file of the kernel's has an underscore before it.
        (Cgroup("web", "memory.slice", scope_prefix="x"), "_memory.slice/x-web.scope"),
        (Cgroup("web", sub_group="a/b", scope_prefix="x"), "system.slice/x-web.scope/a/b"),
    ],
)  # fmt: skip
def test_a_unit_has_its_group_where_systemd_makes_it(cgroup: Cgroup, group: str) -> None:
    made = new(cgroup)
    assert made.problems() == []
    assert made.paths() == {"": f"{ROOT}/{group}"}


def test_a_users_unit_is_below_the_users_manager() -> None:
    made = new(Cgroup("web", scope_prefix="x", rootless=True), facts=Systemd(252, USERS, user=True))
    assert made.paths() == {"": f"{ROOT}{USERS}/user.slice/x-web.scope"}


def test_the_unit_has_a_group_in_each_hierarchy_of_v1() -> None:
    made = new(Cgroup("web", "a-b.slice", scope_prefix="x"), v1_layout())
    below = "a.slice/a-b.slice/x-web.scope"
    assert made.paths()["memory"] == f"{ROOT}/memory/{below}"
    assert made.paths()["name=systemd"] == f"{ROOT}/systemd/{below}"


@pytest.mark.parametrize(
    "name", ["a", "a.slic", ".slice", "-a.slice", "a-.slice", "a--b.slice", "a/b.slice", "--.slice"]
)
def test_what_is_no_slice_is_refused_in_runc_s_words(name: str) -> None:
    assert new(Cgroup("c1", name, scope_prefix="x")).problems() == [
        ("linux.cgroupsPath", f"invalid slice name: {name}")
    ]


def test_a_name_is_not_too_long() -> None:
    ((place, what),) = new(Cgroup("n" * 250, scope_prefix="x")).problems()
    assert place == "linux.cgroupsPath"
    assert what.startswith("the unit's name is longer than 255 letters")
    assert new(Cgroup("n" * 247, scope_prefix="x")).problems() == []
    ((_, what),) = choose.new(Cgroup(systemd=True), "c" * 255, v2_layout(), Systemd(252)).problems()
    assert what.startswith("the unit's name is longer than 255 letters")


@pytest.mark.parametrize("name", ["cpu.slice", "tasks", "_a.scope", "cgroup.x", "memory.b.scope"])
def test_a_directory_is_not_called_like_a_file(name: str) -> None:
    assert names.directory(name) == f"_{name}"
    assert names.unit_of(f"/x/_{name}") == name.removeprefix("_") or name.startswith("_")


@pytest.mark.parametrize("name", ["cpux.slice", "libct-cpu.scope", "cpu", "a.memory"])
def test_other_directories_are_called_as_the_unit(name: str) -> None:
    assert names.directory(name) == name


# --- properties ---


def limits(version: int = 2, systemd: int = 252, **fields: Any) -> list[tuple[str, str, object]]:
    found, problems = limit_properties(Resources(**fields), None, version, systemd)
    assert problems == []
    return found


# As a table: fields of Resources, and the properties with v2.
V2 = [
    ({"memory": 1 << 20}, [("MemoryMax", "t", 1 << 20)]),
    ({"memory": -1}, [("MemoryMax", "t", NO_LIMIT), ("MemorySwapMax", "t", NO_LIMIT)]),
    (
        {"memory": 64, "memory_swap": 96, "memory_reservation": 32},
        [("MemoryMax", "t", 64), ("MemoryLow", "t", 32), ("MemorySwapMax", "t", 32)],
    ),
    ({"memory": 64, "memory_swap": 64}, [("MemoryMax", "t", 64), ("MemorySwapMax", "t", 0)]),
    ({"cpu_shares": 1024}, [("CPUWeight", "t", 100)]),
    ({"cpu_weight": 7, "cpu_shares": 1024}, [("CPUWeight", "t", 7)]),
    ({"cpu_idle": 1, "cpu_shares": 1024}, [("CPUWeight", "t", 0)]),
    ({"cpu_idle": 0}, [("CPUWeight", "t", NO_LIMIT)]),
    ({"cpu_idle": 0, "cpu_shares": 2048}, [("CPUWeight", "t", 174)]),
    ({"cpu_quota": 20000}, [("CPUQuotaPerSecUSec", "t", 200000)]),
    (
        {"cpu_quota": 20000, "cpu_period": 50000},
        [("CPUQuotaPeriodUSec", "t", 50000), ("CPUQuotaPerSecUSec", "t", 400000)],
    ),
    # A third of a CPU is 34 of systemd's percents.
    (
        {"cpu_quota": 10000, "cpu_period": 30000},
        [("CPUQuotaPeriodUSec", "t", 30000), ("CPUQuotaPerSecUSec", "t", 340000)],
    ),
    ({"cpu_quota": -1}, [("CPUQuotaPerSecUSec", "t", NO_LIMIT)]),
    (
        {"cpu_period": 50000},
        [("CPUQuotaPeriodUSec", "t", 50000), ("CPUQuotaPerSecUSec", "t", NO_LIMIT)],
    ),
    ({"pids_limit": 10}, [("TasksMax", "t", 10)]),
    ({"pids_limit": 0}, [("TasksMax", "t", 1)]),
    ({"pids_limit": -1}, [("TasksMax", "t", NO_LIMIT)]),
    (
        {"cpuset_cpus": "0-3,8", "cpuset_mems": "0"},
        [("AllowedCPUs", "ay", b"\x0f\x01"), ("AllowedMemoryNodes", "ay", b"\x01")],
    ),
    ({"blkio_weight": 500}, [("IOWeight", "t", 4950)]),
    (
        {"blkio_weight_device": [WeightDevice(8, 0, 100), WeightDevice(8, 16, 0, 10)]},
        [("IODeviceWeight", "a(st)", (("/dev/block/8:0", 910),))],
    ),
    (
        {
            "blkio_throttle_read_bps_device": [ThrottleDevice(8, 0, 1024)],
            "blkio_throttle_write_bps_device": [
                ThrottleDevice(8, 0, 2048),
                ThrottleDevice(8, 16, 0),
            ],
            "blkio_throttle_read_iops_device": [ThrottleDevice(8, 0, 3)],
            "blkio_throttle_write_iops_device": [ThrottleDevice(8, 0, 4)],
        },
        [
            ("IOReadBandwidthMax", "a(st)", (("/dev/block/8:0", 1024),)),
            (
                "IOWriteBandwidthMax",
                "a(st)",
                (("/dev/block/8:0", 2048), ("/dev/block/8:16", NO_LIMIT)),
            ),
            ("IOReadIOPSMax", "a(st)", (("/dev/block/8:0", 3),)),
            ("IOWriteIOPSMax", "a(st)", (("/dev/block/8:0", 4),)),
        ],
    ),
    # What systemd has no property for is the files' matter alone.
    ({"cpu_burst": 10, "memory_swappiness": 3, "net_cls_classid": 1, "oom_kill_disable": True}, []),
]


@pytest.mark.parametrize(("fields", "properties"), V2)
def test_limits_are_properties_of_v2(fields: dict[str, Any], properties: list[Any]) -> None:
    assert limits(**fields) == properties


@pytest.mark.parametrize(
    ("fields", "properties"),
    [
        ({"memory": 64, "memory_swap": 96}, [("MemoryLimit", "t", 64)]),
        ({"memory": -1}, [("MemoryLimit", "t", NO_LIMIT)]),
        ({"cpu_shares": 1000}, [("CPUShares", "t", 1000)]),
        ({"cpu_idle": 1, "cpu_shares": 1000}, []),
        ({"cpu_quota": 5000}, [("CPUQuotaPerSecUSec", "t", 50000)]),
        ({"pids_limit": 3}, [("TasksMax", "t", 3)]),
        ({"cpuset_cpus": "1"}, [("AllowedCPUs", "ay", b"\x02")]),
        (
            {"blkio_weight": 500, "blkio_weight_device": [WeightDevice(8, 0, 100)]},
            [
                ("BlockIOWeight", "t", 500),
                ("BlockIODeviceWeight", "a(st)", (("/dev/block/8:0", 100),)),
            ],
        ),
        (
            {"blkio_throttle_read_bps_device": [ThrottleDevice(8, 0, 1)]},
            [("BlockIOReadBandwidth", "a(st)", (("/dev/block/8:0", 1),))],
        ),
        ({"blkio_throttle_read_iops_device": [ThrottleDevice(8, 0, 1)]}, []),
        ({"unified": {"memory.high": "1"}}, []),
    ],
)
def test_limits_are_properties_of_v1(fields: dict[str, Any], properties: list[Any]) -> None:
    assert limits(1, **fields) == properties


@pytest.mark.parametrize(
    ("systemd", "fields", "properties"),
    [
        (251, {"cpu_idle": 1, "cpu_shares": 9}, []),
        (251, {"cpu_idle": 0}, []),
        (243, {"cpuset_cpus": "1"}, []),
        (241, {"cpu_period": 5, "cpu_quota": 5}, [("CPUQuotaPerSecUSec", "t", 1000000)]),
        (251, {"unified": {"cpu.idle": "1"}}, []),
        (243, {"unified": {"cpuset.cpus": "1"}}, []),
        (252, {"unified": {"memory.zswap.max": "1"}}, []),
    ],
)
def test_what_an_older_systemd_does_not_know_is_left_out(
    systemd: int, fields: dict[str, Any], properties: list[Any]
) -> None:
    assert limits(2, systemd, **fields) == properties


@pytest.mark.parametrize(
    ("file", "text", "properties"),
    [
        ("memory.min", "4096", [("MemoryMin", "t", 4096)]),
        ("memory.low", "4k", [("MemoryLow", "t", 4096)]),
        ("memory.high", "max", [("MemoryHigh", "t", NO_LIMIT)]),
        ("memory.max", "1M\n", [("MemoryMax", "t", 1 << 20)]),
        ("memory.max", "1T", [("MemoryMax", "t", 1 << 40)]),
        ("memory.max", "2p", [("MemoryMax", "t", 2 << 50)]),
        ("memory.max", "1E", [("MemoryMax", "t", 1 << 60)]),
        ("memory.max", "99E", [("MemoryMax", "t", NO_LIMIT)]),
        ("memory.swap.max", "0", [("MemorySwapMax", "t", 0)]),
        ("memory.zswap.max", "5", [("MemoryZSwapMax", "t", 5)]),
        ("pids.max", "10", [("TasksMax", "t", 10)]),
        ("cpu.weight", "55", [("CPUWeight", "t", 55)]),
        ("cpu.idle", "1", [("CPUWeight", "t", 0)]),
        ("cpu.idle", "0", [("CPUWeight", "t", NO_LIMIT)]),
        (
            "cpu.max",
            "20000 50000",
            [("CPUQuotaPeriodUSec", "t", 50000), ("CPUQuotaPerSecUSec", "t", 400000)],
        ),
        (
            "cpu.max",
            "max",
            [("CPUQuotaPeriodUSec", "t", 100000), ("CPUQuotaPerSecUSec", "t", NO_LIMIT)],
        ),
        ("cpuset.cpus", "0,2", [("AllowedCPUs", "ay", b"\x05")]),
        ("cpuset.cpus", "", [("AllowedCPUs", "ay", b"")]),
        ("cpuset.mems", "\n", [("AllowedMemoryNodes", "ay", b"")]),
        ("cpuset.mems", "0", [("AllowedMemoryNodes", "ay", b"\x01")]),
        ("io.weight", "default 50", [("IOWeight", "t", 50)]),
        (
            "io.weight",
            "50\n8:0 70\n8:16 default",
            [
                ("IOWeight", "t", 50),
                ("IODeviceWeight", "a(st)", ()),
                ("IODeviceWeight", "a(st)", (("/dev/block/8:0", 70),)),
            ],
        ),
        ("io.bfq.weight", "1000", [("IOWeight", "t", 10000)]),
        (
            "io.max",
            "8:0 rbps=1048576 wiops=max\n8:16 rbps=1",
            [
                (
                    "IOReadBandwidthMax",
                    "a(st)",
                    (("/dev/block/8:0", 1048576), ("/dev/block/8:16", 1)),
                ),
                ("IOWriteIOPSMax", "a(st)", (("/dev/block/8:0", NO_LIMIT),)),
            ],
        ),
        ("hugetlb.2MB.max", "0", []),
        ("memory.oom.group", "1", []),
    ],
)
def test_unified_files_are_properties(file: str, text: str, properties: list[Any]) -> None:
    assert limits(systemd=257, unified={file: text}) == properties


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("memory.max", "much"),
        ("memory.max", ""),
        ("pids.max", "-1"),
        ("cpu.max", "a b"),
        ("cpu.idle", "2"),
        ("cpuset.cpus", "a"),
        ("cpu.weight", "0"),
        ("cpu.weight", "10001"),
        ("io.weight", "8:0 0"),
        ("io.bfq.weight", "1001"),
        ("io.weight", "x"),
        ("io.max", "8:0 rbps=x"),
        ("io.max", "8:0 bps=1"),
    ],
)
def test_unified_text_that_is_no_value_is_a_problem(file: str, text: str) -> None:
    found, problems = limit_properties(Resources(unified={file: text}), None, 2, 252)
    assert found == []
    assert [place for place, _ in problems] == [f"linux.resources.unified.{file}"]


def test_unified_holds_where_both_are_given() -> None:
    found = limits(memory=1, pids_limit=3, unified={"memory.max": "2"})
    assert found == [("TasksMax", "t", 3), ("MemoryMax", "t", 2)]


@pytest.mark.parametrize(
    ("fields", "weight"),
    [
        ({"cpu_idle": 1, "unified": {"cpu.idle": "0"}}, NO_LIMIT),
        ({"cpu_shares": 2048, "unified": {"cpu.idle": "0"}}, 174),
        ({"unified": {"cpu.weight": "5", "cpu.idle": "0"}}, 5),
        ({"unified": {"cpu.weight": "5", "cpu.idle": "1"}}, 0),
        ({"cpu_shares": 2048, "unified": {"cpu.idle": "1"}}, 0),
    ],
)
def test_what_is_idle_and_what_has_a_weight(fields: dict[str, Any], weight: int) -> None:
    assert limits(**fields) == [("CPUWeight", "t", weight)]


@pytest.mark.parametrize(
    ("quota", "period", "written"),
    [(10000, 30000, 10200), (20000, 100000, 20000), (1, 0, 1000), (-1, 0, -1), (0, 50000, 0)],
)
def test_the_file_has_the_quota_that_systemd_comes_to(
    quota: int, period: int, written: int
) -> None:
    given = Resources(cpu_quota=quota, cpu_period=period)
    assert for_files(given).cpu_quota == written
    assert given.cpu_quota == quota


@pytest.mark.parametrize(
    ("weight", "io"), [(1, 1), (10, 10), (100, 100), (101, 111), (500, 4500), (1000, 10000)]
)
def test_systemd_makes_the_weight_for_bfq_of_its_own_again(weight: int, io: int) -> None:
    assert io_weight(weight) == io
    again = 100 - (100 - io) * 99 // 99 if io <= 100 else 100 + (io - 100) * 900 // 9900
    assert again == weight


def test_the_weight_is_that_of_the_file_that_the_kernel_has() -> None:
    given = Resources(blkio_weight=500, blkio_weight_device=[WeightDevice(8, 0, 200)])
    found, _ = limit_properties(given, None, 2, 252, bfq=True)
    assert found == [
        ("IOWeight", "t", 4500),
        ("IODeviceWeight", "a(st)", (("/dev/block/8:0", 1200),)),
    ]


def test_a_list_of_numbers_is_a_bitmask() -> None:
    assert bitmask("0") == b"\x01"
    assert bitmask("7,8") == b"\x80\x01"
    assert bitmask("16") == b"\0\0\x01"
    assert bitmask("0-10:2/4") == bitmask("0,1,4,5,8,9")
    assert bitmask("1-4:1/2,7") == bitmask("1,3,7")
    assert bitmask("1,,2 ") == b"\x06"
    for text in ("0-3:2", "0-3:0/2", "0-3:3/2", "0-3:a/2", "0-3:2/4/5", "a:1/2"):
        with pytest.raises(ValueError, match=r"not groups|not a list"):
            bitmask(text)


# --- devices ---


@pytest.mark.parametrize(
    ("access", "policy", "entries"),
    [
        (("allow", ()), "auto", None),
        (("allow", ("c 1:3 rwm",)), "auto", None),  # a list of what is denied: our rules alone
        (("deny", ()), "strict", ()),
        (
            ("deny", ("c 1:3 rwm", "b 8:0 rm", "c 136:* rw", "b *:* m", "c 5:1 r")),
            "strict",
            (
                ("/dev/char/1:3", "rwm"),
                ("/dev/block/8:0", "rm"),
                ("char-136", "rw"),
                ("block-*", "m"),
                ("/dev/char/5:1", "r"),
            ),
        ),
        (("deny", ("c 1:3 rwm", "c *:3 r")), "auto", None),  # no words for that
    ],
)
def test_devices_are_listed_before_the_policy(
    access: tuple[str, tuple[str, ...]], policy: str, entries: object
) -> None:
    first, second, *rest = device_properties(access)
    assert first == ("DeviceAllow", "a(ss)", ())
    assert second == ("DevicePolicy", "s", policy)
    assert rest == ([("DeviceAllow", "a(ss)", entries)] if entries else [])


# --- GVariant ---


@pytest.mark.parametrize(
    ("text", "typed"),
    [
        ("true", ("b", True)),
        (" 'a b' ", ("s", "a b")),
        ('"it\'s"', ("s", "it's")),
        (r"'it\'s \"\\ \n\u00e9'", ("s", "it's \"\\ \né")),
        ("9", ("i", 9)),
        ("-9", ("i", -9)),
        ("0x1f", ("i", 31)),
        ("1.5", ("d", 1.5)),
        ("uint64 18446744073709551615", ("t", NO_LIMIT)),
        ("byte 255", ("y", 255)),
        ("int16 -1", ("n", -1)),
        ("double 2", ("d", 2.0)),
        ("objectpath '/a'", ("o", "/a")),
        ("@t 5", ("t", 5)),
        ("['a', 'b',]", ("as", ("a", "b"))),
        ("[]", None),
        ("@as []", ("as", ())),
        ("@as ['x']", ("as", ("x",))),
        ("[uint32 1, 2]", ("au", (1, 2))),
        ("[byte 1, 2]", ("ay", b"\1\2")),
        ("@ay []", ("ay", b"")),
        ("b'ab'", ("ay", b"ab\0")),
        ("('a', uint64 3)", ("(st)", ("a", 3))),
        ("[('/dev/x', 'rw')]", ("a(ss)", (("/dev/x", "rw"),))),
        ("[true, false]", ("ab", (True, False))),
        ("", None),
        ("'a", None),
        ("a", None),
        ("1 2", None),
        ("[1, 'a']", None),
        ("[1", None),
        ("[1 2]", None),
        ("uint32 -1", None),
        ("2147483648", None),
        ("byte 'a'", None),
        ("uint64 true", None),
        (r"'\uzzzz'", None),
        ("[" * 40 + "1", None),
        ("(" * 2000, None),
    ],
)
def test_variants_are_read(text: str, typed: tuple[str, object] | None) -> None:
    if typed is None:
        with pytest.raises(ValueError, match=r"\S"):
            parse(text)
    else:
        found = parse(text)
        assert found == typed
        assert type(found[1]) is type(typed[1])


@pytest.mark.parametrize(
    ("name", "text", "found"),
    [
        ("KillSignal", "9", ("KillSignal", "i", 9)),
        ("TimeoutStopSec", "uint64 3", ("TimeoutStopUSec", "t", 3000000)),
        ("TimeoutStopSec", "2.5", ("TimeoutStopUSec", "t", 2500000)),
        ("TimeoutStopUSec", "uint64 3", ("TimeoutStopUSec", "t", 3)),
        ("TimeoutStopSec", "'3'", None),
        ("TimeoutStopSec", "true", None),
        ("TimeoutStopSec", "-1", None),
        ("TimeoutStopSec", "double inf", None),
        ("TimeoutStopSec", "double nan", None),
    ],
)
def test_seconds_are_microseconds(name: str, text: str, found: object) -> None:
    if found is None:
        with pytest.raises(ValueError, match="number of seconds"):
            property_of(name, text)
    else:
        assert property_of(name, text) == found


# --- the unit ---

_ACCOUNTED = [(f"{name}Accounting", "b", True) for name in ("Memory", "CPU", "Tasks")]


def test_a_scope_is_in_its_slice_and_delegated() -> None:
    assert unit_properties("c1", "a.slice", 2, is_slice=False) == [
        ("Description", "s", "libct container c1"),
        ("Slice", "s", "a.slice"),
        ("Delegate", "b", True),
        *_ACCOUNTED,
        ("IOAccounting", "b", True),
        ("DefaultDependencies", "b", False),
        ("CollectMode", "s", "inactive-or-failed"),
    ]


def test_a_slice_wants_the_one_above() -> None:
    assert unit_properties("c1", "a.slice", 1, is_slice=True) == [
        ("Description", "s", "libct container c1"),
        ("Wants", "as", ("a.slice",)),
        *_ACCOUNTED,
        ("BlockIOAccounting", "b", True),
        ("DefaultDependencies", "b", False),
        ("CollectMode", "s", "inactive-or-failed"),
    ]


def test_a_unit_is_known_by_the_mark_in_its_description() -> None:
    given = [("Description", "s", "a [x]"), ("Slice", "s", "b")]
    made = described(given, "0123")
    assert made == [("Description", "s", "a [x] [0123]"), ("Slice", "s", "b")]
    assert has_mark("a [x] [0123]", "0123")
    assert not has_mark("a [0123] [x]", "0123")
    assert not has_mark("0123", "0123")


@pytest.mark.parametrize(
    ("systemd", "name", "fields", "policy"),
    [
        (253, "c1", {"memory_oom_group": True}, "kill"),
        (253, "c1", {"memory_oom_group": False}, "continue"),
        (253, "c1", {"unified": {"memory.oom.group": "1\n"}}, "kill"),
        (253, "c1", {"memory_oom_group": True, "unified": {"memory.oom.group": "0"}}, "continue"),
        (253, "c1", {"memory": 5 << 20}, None),
        (252, "c1", {"memory_oom_group": True}, None),
        (257, "a-b.slice", {"memory_oom_group": True}, None),
    ],
)
def test_the_oom_policy_of_a_scope_is_its_oom_group(
    systemd: int, name: str, fields: dict[str, Any], policy: str | None
) -> None:
    made = new(Cgroup(name, resources=Resources(**fields)), facts=Systemd(systemd))
    assert isinstance(made, SystemdManager)
    told = {name: value for name, _, value in made.properties}
    assert told.get("OOMPolicy") == policy


def test_properties_are_told_by_name_and_a_list_is_emptied_first() -> None:
    list_ = ("DeviceAllow", "a(ss)", (("/dev/null", "rwm"),))
    told = [
        ("TasksMax", "t", 5),
        *(("DeviceAllow", "a(ss)", ()), ("DevicePolicy", "s", "strict"), list_),
        *_quota(5000, 50000, 252)[::-1],
    ]
    assert in_order(told) == [
        ("CPUQuotaPerSecUSec", "t", 100000),
        ("CPUQuotaPeriodUSec", "t", 50000),
        ("DeviceAllow", "a(ss)", ()),
        list_,
        ("DevicePolicy", "s", "strict"),
        ("TasksMax", "t", 5),
    ]


def test_annotated_properties_hold() -> None:
    cgroup = Cgroup(resources=Resources(pids_limit=3))
    cgroup.systemd_props = {"TasksMax": "uint64 7", "CollectMode": "'inactive'", "A": "[1"}
    made = new(cgroup)
    assert [place for place, _ in made.problems()] == ["annotations.org.systemd.property.A"]
    del cgroup.systemd_props["A"]
    (start,) = [step for step in new(cgroup).attach_steps() if step.op == "systemd_start_unit"]
    properties = start.args[-1]
    assert properties[-2:] == (("TasksMax", "t", 7), ("CollectMode", "s", "inactive"))
    assert [name for name, _, _ in properties].count("TasksMax") == 1


# --- plans ---


def plan_of(cgroup: Cgroup, layout: Layout, *, joins: bool = False, hold: bool = True) -> Plan:
    spaces = [Namespace(NEWNS), Namespace(NEWCGROUP)]
    spaces.append(Namespace(NEWPID, "/proc/7/ns/pid" if joins else ""))
    config = Config("/rootfs", namespaces=spaces, cgroups=cgroup)
    host = Host(layout=layout, landlock_abi=0, apparmor=False)
    made = new(cgroup, layout)
    return plan_start(config, Process(["/bin/true"], init=True), host, made, "c1", hold=hold)


def order(plan: Plan) -> list[tuple[str, str]]:
    counted = ("systemd_", "cgroup_", "clone_stage", "clone_init", "clone_command")
    return [
        (step.process, step.op) for step in plan if step.op.startswith((*counted, "unshare_cgroup"))
    ]


def test_the_first_process_waits_for_its_unit() -> None:
    cgroup = Cgroup(resources=Resources(pids_limit=3))
    assert order(plan_of(cgroup, v2_layout())) == [
        ("runtime", "systemd_check"),
        ("server", "clone_init"),
        ("runtime", "systemd_start_unit"),
        ("runtime", "systemd_group"),
        ("runtime", "systemd_join"),
        ("runtime", "cgroup_enable_controllers"),
        ("runtime", "cgroup_write"),
        ("runtime", "cgroup_devices_v2"),
        ("init", "unshare_cgroup"),
    ]


def test_a_stage_waits_for_the_unit_and_its_clones_are_in_it() -> None:
    plan = plan_of(Cgroup(resources=Resources(skip_devices=True)), v2_layout(), joins=True)
    assert order(plan)[:3] == [
        ("runtime", "systemd_check"),
        ("server", "clone_stage"),
        ("runtime", "systemd_start_unit"),
    ]


def test_nothing_is_cloned_into_a_group_that_is_not_there() -> None:
    plan = plan_of(Cgroup(), v2_layout())
    (clone,) = [step for step in plan if step.op == "clone_init"]
    assert "CLONE_INTO_CGROUP" not in clone.calls[0]


def test_limits_are_in_the_sub_group_and_in_the_unit() -> None:
    cgroup = Cgroup(resources=Resources(pids_limit=3), sub_group="container", delegate="payload")
    steps = list(plan_of(cgroup, v2_layout()))
    (start,) = [step for step in steps if step.op == "systemd_start_unit"]
    assert start.args[2] == f"{ROOT}/system.slice/libct-c1.scope"
    assert ("TasksMax", "t", 3) in start.args[-1]
    (write,) = [step for step in steps if step.op == "cgroup_write"]
    group = f"{ROOT}/system.slice/libct-c1.scope/container"
    assert write.args[0] == f"{group}/pids.max"
    # Moved down when its cgroup namespace has the upper one as root.
    found = [step.op for step in steps]
    assert found.index("unshare_cgroup") < found.index("systemd_delegate")
    (move,) = [step for step in steps if step.op == "systemd_delegate"]
    assert move.args == (group, "payload", None)
    assert move.process == "runtime"


def test_v1_groups_that_systemd_does_not_make_are_joined_before_limits() -> None:
    cgroup = Cgroup(resources=Resources(pids_limit=3))
    found = [op for process, op in order(plan_of(cgroup, v1_layout())) if process == "runtime"]
    assert found == [
        "systemd_check",
        "systemd_start_unit",
        *["systemd_group"] * 8,
        "cgroup_cpuset_v1",
        "systemd_join",
        "cgroup_write",
        "cgroup_devices_v1",
    ]


def test_a_further_process_is_cloned_into_the_group_or_attached() -> None:
    cgroup = Cgroup("c1", scope_prefix="libct", systemd=True, sub_group="a")
    directory = f"{ROOT}/system.slice/libct-c1.scope/a"
    made = choose.load(cgroup, {"": directory})
    assert made.cgroup_directory() == directory
    assert made.attach_steps() == []
    attached = made.attached()
    assert attached is not None
    assert attached.cgroup_directory() is None
    (step,) = attached.attach_steps()
    assert (step.op, step.args[0], step.args[2]) == ("systemd_attach", "libct-c1.scope", "/a")
    below = made.below({"": "b"}).attached()
    assert below is not None
    assert below.attach_steps()[0].args[2] == "/a/b"


# --- what is refused ---


def test_without_systemd_it_is_refused_in_runc_s_words() -> None:
    layout = v2_layout()
    layout.systemd = False
    ((place, what),) = choose.new(Cgroup(systemd=True), "c1", layout).problems()
    assert place == "linux.cgroupsPath"
    assert what.startswith(
        "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
    )


def test_a_users_unit_needs_v2() -> None:
    ((place, what),) = new(Cgroup(), v1_layout(), Systemd(252, USERS, user=True)).problems()
    assert place == "linux.cgroupsPath"
    assert "cannot limit a container with cgroup v1" in what


@pytest.mark.parametrize("path", ["..", "a/../b", "a\nb"])
def test_a_group_below_stays_below(path: str) -> None:
    assert [place for place, _ in new(Cgroup(sub_group=path)).problems()][:1] == [
        "annotations.run.oci.systemd.subgroup"
    ]
    assert [place for place, _ in new(Cgroup(delegate=path)).problems()] == [
        "annotations.run.oci.delegate-cgroup"
    ]


def test_v1_groups_are_not_delegated() -> None:
    assert [place for place, _ in new(Cgroup(delegate="a"), v1_layout()).problems()] == [
        "annotations.run.oci.delegate-cgroup"
    ]


def test_nothing_is_planned_with_a_problem() -> None:
    made = new(Cgroup(resources=Resources(unified={"cpu.idle": "7"})))
    with pytest.raises(CgroupError, match=r"unified\.cpu\.idle: not 0 or 1"):
        made.create_steps()


def test_the_manager_does_what_one_of_files_does() -> None:
    """Whatever a manager of files does in its own way, that of systemd passes on to it."""
    from libct.cgroups.systemd.manager import SystemdManager
    from libct.cgroups.v2 import V2Manager

    own = {name for name in vars(V2Manager) if callable(getattr(V2Manager, name))}
    public = {name for name in own if not name.startswith("_")} - {"prepare"}
    assert public <= set(vars(SystemdManager))


# --- the end of a unit ---


class Bus:
    """Stands in for systemd: what its units are described as, and what is stopped."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, description: str, error: str = "-") -> None:
        self.description, self.error = description, error
        self.stopped: list[tuple[str, bool]] = []
        monkeypatch.setattr(units, "unit_property", self.unit_property)
        monkeypatch.setattr(units, "stop_unit", self.stop_unit)

    def unit_property(self, name: str, what: str, *, user: bool) -> str:
        if self.error != "-":
            raise SystemdError("no answer", name=self.error)
        return self.description

    def stop_unit(self, name: str, *, user: bool) -> None:
        self.stopped.append((name, user))


def test_a_unit_with_the_mark_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus(monkeypatch, "libct container c1 [abc]")
    stopping.stop("/none/libct-c1.scope", "abc", user=True)
    assert bus.stopped == [("libct-c1.scope", True)]


def test_a_unit_with_another_mark_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    bus = Bus(monkeypatch, "libct container c1 [abd]")
    stopping.stop("/none/libct-c1.scope", "abc", user=False)
    assert bus.stopped == []


def test_without_a_bus_a_unit_without_a_group_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    Bus(monkeypatch, "", error="")
    stopping.stop("/none/libct-c1.scope", "abc", user=False)
    with pytest.raises(CgroupError, match=r"cannot stop the unit 'tmp': no answer"):
        stopping.stop("/tmp", "abc", user=False)


def test_what_systemd_refuses_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    Bus(monkeypatch, "", error="org.freedesktop.DBus.Error.AccessDenied")
    with pytest.raises(CgroupError, match="cannot stop the unit"):
        stopping.stop("/none/libct-c1.scope", "abc", user=False)
