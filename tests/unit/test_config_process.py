"""Every rule about a Process, next to the Config that it is to run in."""

from __future__ import annotations

from typing import Any

import pytest

from libct.config import Config, CPUAffinity, IDMap, IOPriority, Namespace, Rlimit, Scheduler
from libct.config.validate import validate_process
from libct.life.process import Process

from .test_config_validate import MadeUp

PLAIN = Config("/srv/rootfs")
MAPS = [IDMap(0, 1000, 10)]
USER = Config("/", namespaces=[Namespace("NEWUSER")], uid_mappings=MAPS, gid_mappings=MAPS)


def found(config: Config = PLAIN, **fields: Any) -> list[str]:
    fields.setdefault("args", ["sh"])
    return [str(finding) for finding in validate_process(Process(**fields), config)]


def test_a_good_process() -> None:
    assert found(env=["A=b", "C="], cwd="/x", user="daemon:tty", additional_groups=[5, "x"]) == []


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({"args": []}, ["process.args: args must not be empty"]),
        ({"args": [""]}, ["process.args[0]: empty: there is no command"]),
        ({"args": ["a", "b\0"]}, ["process.args[1]: has a NUL in it: 'b\\x00'"]),
        (
            {"env": ["A=b", "A", "=x", "B=\0"]},
            [
                "process.env[3]: has a NUL in it: 'B=\\x00'",
                "process.env[1]: not NAME=VALUE: 'A'",
                "process.env[2]: not NAME=VALUE: '=x'",
            ],
        ),
        ({"cwd": "tmp"}, ["process.cwd: not absolute: 'tmp'"]),
        ({"console_width": 65536}, ["process.consoleSize.width: not between 0 and 65535: 65536"]),
        (
            {"rlimits": [Rlimit(7, 1, 2)]},
            ["process.rlimits[0].soft: above the hard limit: 2 > 1"],
        ),
        ({"umask": -1}, ["process.user.umask: not between 0 and 0777: -0o1"]),
        ({"scheduler": Scheduler(8)}, ["process.scheduler.policy: unknown policy: 8"]),
        (
            {"io_priority": IOPriority(1, 9)},
            ["process.ioPriority.priority: not between 0 and 7: 9"],
        ),
        ({"cpu_affinity": CPUAffinity([-1])}, ["process.execCPUAffinity.initial: not a CPU: -1"]),
        ({"label": "\0"}, ["process.selinuxLabel: has a NUL in it: '\\x00'"]),
    ],
)
def test_rules(fields: dict[str, Any], expected: list[str]) -> None:
    assert found(**fields) == expected


@pytest.mark.parametrize("user", ["", "0", "0:0", "root", "root:0", "1000:tty", "a-b_c.d", "Ünal"])
def test_good_users(user: str) -> None:
    assert found(user=user) == []


@pytest.mark.parametrize(
    ("user", "expected"),
    [
        (":0", ["process.user.uid: not a name: ''"]),
        ("root:", ["process.user.gid: not a name: ''"]),
        ("a:b:c", ["process.user.gid: not a name: 'b:c'"]),
        ("-1", ["process.user.uid: not a name: '-1'"]),
        ("+0", ["process.user.uid: not a name: '+0'"]),
        (" 0", ["process.user.uid: not a name: ' 0'"]),
        ("4294967295", ["process.user.uid: not an id: 4294967295"]),
        ("0:" + "9" * 30, [f"process.user.gid: not an id: {'9' * 30}"]),
        ("a\0b", ["process.user.uid: not a name: 'a\\x00b'"]),
        ("../etc", ["process.user.uid: not a name: '../etc'"]),
    ],
)
def test_bad_users(user: str, expected: list[str]) -> None:
    assert found(user=user) == expected


def test_ids_must_be_mapped_in_a_new_user_namespace() -> None:
    assert found(USER, user="9:9", additional_groups=[9, "tty"]) == []
    assert found(USER, user="10:10", additional_groups=[3, 11]) == [
        "process.user.uid: not mapped by linux.uidMappings: 10",
        "process.user.gid: not mapped by linux.gidMappings: 10",
        "process.user.additionalGids[1]: not mapped by linux.gidMappings: 11",
    ]
    rootless = USER.copy(uid_mappings=[IDMap(1, 1000, 1)])
    assert found(rootless) == ["process.user.uid: not mapped by linux.uidMappings: 0"]


def test_ids_must_be_mapped_in_one_that_is_joined() -> None:
    """Where its maps can be told; whatever the configuration says they are."""
    joined = Config("/", namespaces=[Namespace("NEWUSER", "/run/user")], uid_mappings=MAPS)
    process = Process(["true"], init=True, user="10:10")
    facts = MadeUp(maps=(MAPS, [IDMap(0, 0, 50)]))
    assert [str(one) for one in validate_process(process, joined, facts)] == [
        "process.user.uid: not mapped by the user namespace that is joined: 10"
    ]
    assert validate_process(process, joined, MadeUp()) == []
    # A further one enters that of the first, wherever the path leads by then.
    assert validate_process(Process(["true"], user="10:10"), joined, facts) == []


def test_additional_groups_are_not_for_ordinary_users() -> None:
    assert found(USER.copy(rootless_euid=True), additional_groups=[5]) == [
        "process.user.additionalGids: an ordinary user cannot give additional groups"
    ]


def test_additional_groups_that_are_none() -> None:
    assert found(additional_groups=[-1, "a b", 1 << 32]) == [
        "process.user.additionalGids[0]: not an id: -1",
        "process.user.additionalGids[1]: not a name: 'a b'",
        "process.user.additionalGids[2]: not an id: 4294967296",
    ]
