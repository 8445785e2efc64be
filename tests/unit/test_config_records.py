"""Records: what the base class gives to each of them."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from libct import config as package
from libct.config import (
    ALLOWED_DEVICES,
    Config,
    Device,
    DeviceRule,
    Hook,
    Hooks,
    IDMap,
    Mount,
    Namespace,
    NetDevice,
    Record,
    Resources,
    Seccomp,
    SeccompRule,
)
from libct.config.field_types import wrong_types
from libct.config.homes import HOMES
from libct.config.number_lists import format_numbers, parse_numbers, whole_number
from libct.config.record import RecordType
from libct.errors import Finding

from ..support import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Callable


def test_fields_are_given_by_position_or_by_name() -> None:
    assert IDMap(0, 1000, 1) == IDMap(size=1, host_id=1000, container_id=0)


@pytest.mark.parametrize(
    ("make", "given", "fields", "message"),
    [
        (Namespace, [], {}, "Namespace needs the field 'type'"),
        (Namespace, ["NEWNS"], {"pth": "/"}, "Namespace has no field 'pth'"),
        (Namespace, ["NEWNS"], {"type": "NEWNS"}, "Namespace got the field 'type' twice"),
        (Namespace, ["NEWNS", "", 3], {}, "Namespace has 2 fields, not 3"),
        (Device, ["/dev/x", "c"], {"rule": None}, "Device has no field 'rule'"),
        (Namespace("NEWNS").copy, [], {"pth": "/"}, "Namespace has no field 'pth'"),
        (Namespace.from_dict, [{"type": "", "x": 1}], {}, "Namespace has no field 'x'"),
    ],
)
def test_fields_that_are_wrong_are_type_errors(
    make: Callable[..., Record], given: list[Any], fields: dict[str, Any], message: str
) -> None:
    with pytest.raises(TypeError) as caught:
        make(*given, **fields)
    assert str(caught.value) == message


def test_attributes_that_are_no_fields_cannot_be_set() -> None:
    with pytest.raises(AttributeError):
        Namespace("NEWNS").pth = "/"  # type: ignore[attr-defined]


def test_every_record_has_lists_of_its_own() -> None:
    first, second = Config("/a"), Config("/b")
    first.mounts.append(Mount("/proc"))
    first.sysctl["a"] = "b"
    assert (second.mounts, second.sysctl, Config("/c").mounts) == ([], {}, [])


def test_a_record_as_default_is_fresh_each_time() -> None:
    first, second = package.Cgroup(), package.Cgroup()
    first.resources.memory = 1
    assert second.resources == Resources()


def test_equality_is_of_type_and_fields() -> None:
    assert Namespace("NEWNS") == Namespace("NEWNS")
    assert Namespace("NEWNS") != Namespace("NEWPID")
    assert Hook("/x") != Namespace("/x")
    with pytest.raises(TypeError):
        hash(Namespace("NEWNS"))


def test_repr_is_the_expression_that_makes_it() -> None:
    mount = Mount("/proc", source="proc", flags=6)
    assert repr(mount) == "Mount(destination='/proc', source='proc', flags=6)"
    assert eval(repr(mount)) == mount


def test_a_copy_shares_nothing_that_can_change() -> None:
    config = Config("/a", mounts=[Mount("/proc", propagation_flags=[1])], sysctl={"a": "b"})
    copy = config.copy(hostname="new")
    copy.mounts[0].propagation_flags.append(2)
    copy.sysctl["c"] = "d"
    assert config == Config("/a", mounts=[Mount("/proc", propagation_flags=[1])], sysctl={"a": "b"})
    assert copy.hostname == "new"


def full_config() -> Config:
    """Each kind of nesting: a record, lists and dicts of records, None."""
    return Config(
        "/a",
        mounts=[Mount("/x", id_mapping=package.MountIDMapping(uid_mappings=[IDMap(0, 1, 2)]))],
        net_devices={"eth0": NetDevice("e")},
        cgroups=package.Cgroup(resources=Resources(devices=[DeviceRule("c", 1, 3)])),
        hooks=Hooks(poststop=[Hook("/bin/true", timeout=3)]),
        seccomp=Seccomp("SCMP_ACT_ALLOW", syscalls=[SeccompRule(["a"], "SCMP_ACT_LOG")]),
        exec_cpu_affinity=package.CPUAffinity([0, 1]),
        time_offsets={"boottime": package.TimeOffset(-3)},
        landlock=package.Landlock(["/usr"], [], connect_tcp=[]),
    )


def test_a_config_survives_json() -> None:
    config = full_config()
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_only_what_is_not_the_default_is_written() -> None:
    assert Config("/a").to_dict() == {"rootfs": "/a"}


def test_a_config_is_read_before_anything_else_has_loaded_its_parts() -> None:
    """state.json is read by processes that have never seen a Hooks or a Seccomp."""
    code = (
        "import sys; from libct.config import Config;"
        f"config = Config.from_dict({full_config().to_dict()!r});"
        "print(*(type(one).__name__ for one in (config.hooks, config.seccomp, config.landlock)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "Hooks Seccomp Landlock\n"


LISTED = {name for names in HOMES.values() for name in names.split()}


def test_the_default_devices_can_be_used_as_they_are() -> None:
    config = Config("/a", devices=ALLOWED_DEVICES)  # type: ignore[arg-type]  # a tuple
    assert config == Config.from_dict(config.to_dict())
    assert ALLOWED_DEVICES[0].rule == DeviceRule("c", 1, 3, "rwm", True)


def test_all_names_of_the_package_are_there() -> None:
    everything: dict[str, Any] = {}
    exec("from libct.config import *", everything)
    assert set(everything) - {"__builtins__"} == LISTED
    for name in LISTED:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="has no attribute"):
        getattr(package, name + "x")
    text = Path(package.__file__).read_text()
    assert set(re.findall(r"\b(\w+) as \1\b", text)) == LISTED  # what type checkers see


def test_importing_loads_nothing_expensive() -> None:
    code = (
        "import sys; sys.path.insert(0, '.'); before = set(sys.modules);"
        "import libct.oci.load, libct.loading.jsontext, libct.config.validate;"
        "heavy = {'re', 'json', 'typing', 'ctypes', 'dataclasses', 'enum', 'collections'};"
        "print(sorted(heavy & (set(sys.modules) - before)))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "[]\n"


def test_wrong_types_are_named() -> None:
    config = Config(
        3,  # type: ignore[arg-type]
        mounts=[{"destination": "/proc"}],  # type: ignore[list-item]
        sysctl={"a": 1},  # type: ignore[dict-item]
        umask="022",  # type: ignore[arg-type]
        readonlyfs=1,  # type: ignore[arg-type]
        cgroups=package.Cgroup(resources=Resources(memory="1G")),  # type: ignore[arg-type]
    )
    assert wrong_types(config) == [
        Finding("rootfs", "not str: 3"),
        Finding("umask", "not int | None: '022'"),
        Finding("readonlyfs", "not bool: 1"),
        Finding("mounts[0]", "not Mount: {'destination': '/proc'}"),
        Finding("cgroups.resources.memory", "not int: '1G'"),
        Finding("sysctl['a']", "not str: 1"),
    ]


def test_a_good_config_has_no_wrong_types() -> None:
    assert wrong_types(full_config()) == []


def test_every_annotation_can_be_checked() -> None:
    """Of each record: a type that nobody knows would pass no value, or all."""

    class Plain(Record):
        a: str = ""
        b: list[str] | None = None

    assert wrong_types(Plain()) == []
    assert wrong_types(Plain(b=["x", 3])) == [Finding("b[1]", "not str: 3")]  # type: ignore[list-item]
    values = {name: getattr(package, name) for name in LISTED}
    kinds = [kind for kind in values.values() if isinstance(kind, RecordType) and kind != Record]
    assert len(kinds) > 10
    for kind in kinds:
        required = {field: _sample(kind.__annotations__[field]) for field in kind._required}
        assert wrong_types(kind(**required)) == [], kind


def _sample(annotation: str) -> object:
    return {"str": "", "int": 0}[annotation] if annotation in ("str", "int") else []


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("0", [0]),
        ("0-3,8", [0, 1, 2, 3, 8]),
        (" 1 , 3 - 4 ,", [1, 3, 4]),
        ("5,5,4-6", [4, 5, 6]),
        ("1023", [1023]),
    ],
)
def test_lists_of_numbers(text: str, numbers: list[int]) -> None:
    assert parse_numbers(text) == numbers
    assert parse_numbers(format_numbers(numbers)) == numbers


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no number"),
        (",", "no number"),
        ("3-1", "ends before it starts"),
        ("1024", "1024 is too large, the highest is 1023"),
        ("0-99999999999999999999", "too large"),
        ("a", "not a list"),
        ("-1", "not a list"),
        ("1-", "not a list"),
        ("1-2-3", "not a list"),
        ("+1", "not a list"),
        ("\u0661", "not a list"),
    ],
)
def test_lists_of_numbers_that_are_none(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        parse_numbers(text)


def test_ranges_are_written_as_such() -> None:
    assert format_numbers([8, 0, 1, 3, 2, 2]) == "0-3,8"
    assert format_numbers([]) == ""


@pytest.mark.parametrize(
    ("text", "number"),
    [("0", 0), ("007", 7), ("99", 99), ("100", None), ("9" * 5000, None), ("0" * 5000 + "5", 5)]
    + [(text, None) for text in ("", "-1", "+1", " 1", "1_0", "\u00b2", "\u0663")],
)
def test_whole_numbers(text: str, number: int | None) -> None:
    assert whole_number(text, 99) == number
