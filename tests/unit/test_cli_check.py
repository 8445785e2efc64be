"""What `libct check` makes of facts, and how it shows it; the facts are values."""

from __future__ import annotations

import json
from typing import Any

import pytest

from libct.cli.check import as_json, as_text
from libct.cli.check_bundle import BundleFacts, bundle_lines, id_map_lines
from libct.cli.check_command import interpreter_of
from libct.cli.check_host import HostFacts, attempt, gather
from libct.cli.check_report import ERROR, NOTE, OK, WARNING, Line, host_lines, is_fine
from libct.config import Config, IDMap, Mount, Namespace
from libct.config.mount import MountIDMapping
from libct.config.mount_flags import MS_BIND
from libct.life.process import Process
from libct.oci.automatic_maps import disjoint, parse_ranges

CONTROLLERS = ["cpu", "cpuset", "memory", "pids"]


def machine(**changes: Any) -> HostFacts:
    values: dict[str, Any] = {
        "cgroup_controllers": CONTROLLERS,
        "sysctls": {"kernel.seccomp.actions_avail": "allow"},
        **changes,
    }
    return HostFacts(**values)


def states(**changes: Any) -> dict[str, tuple[str, str]]:
    """What is not in order, by name: (state, remedy)."""
    return {
        line.name: (line.state, line.remedy)
        for line in host_lines(machine(**changes))
        if line.state not in (OK, NOTE)
    }


def test_a_machine_where_all_is_well() -> None:
    lines = host_lines(machine())
    assert is_fine(lines)
    assert states() == {}
    assert {line.section for line in lines} == {
        *("kernel", "namespaces", "users", "control groups", "security", "files and programs")
    }


@pytest.mark.parametrize("call", ["clone3", "openat2", "pidfd"])
def test_without_these_nothing_starts(call: str) -> None:
    found = states(calls={call: ("Function not implemented", "")})
    assert found[call][0] == ERROR
    assert "Linux 5." in found[call][1]


@pytest.mark.parametrize("call", ["CLONE_INTO_CGROUP", "id-mapped mounts", "overlay"])
def test_without_these_some_do(call: str) -> None:
    assert states(calls={call: ("Invalid argument", "")})[call][0] == WARNING


def test_namespaces() -> None:
    no = ("Operation not permitted", "do this")
    assert states(namespaces={"time": no}) == {"time": (WARNING, "do this")}
    assert states(namespaces={"pid": no}) == {"pid": (ERROR, "do this")}
    # Root's containers do without a user namespace, others' do not.
    assert states(namespaces={"user": no})["user"][0] == WARNING
    assert states(namespaces={"user": no}, euid=1000)["user"][0] == ERROR


def test_an_ordinary_user() -> None:
    found = states(euid=1000, user="joe", programs={"newuidmap": "/usr/bin/newuidmap"})
    assert found["subordinate uids"] == (
        WARNING,
        (
            "usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST joe, as root, with ids"
            " that no other line of /etc/subuid has"
        ),
    )
    assert "newuidmap" not in found
    assert found["newgidmap"][0] == WARNING
    sysctls = {
        "kernel.unprivileged_userns_clone": "0",
        "kernel.apparmor_restrict_unprivileged_userns": "1",
    }
    found = states(euid=1000, sysctls=sysctls)
    assert found["user namespaces"][1] == "sysctl kernel.unprivileged_userns_clone=1"
    assert "profile with userns" in found["AppArmor"][1]


def test_control_groups() -> None:
    assert "mount cgroup2" in states(cgroup_mode="none")["layout"][1]
    assert states(cgroup_controllers=[])["controllers"][0] == WARNING
    assert states(cgroup_controllers=["pids"])["controllers"][0] == WARNING
    refused = {"/sys/fs/cgroup": ("Permission denied", "delegate it")}
    assert states(cgroup_outcomes=refused)["groups"] == (ERROR, "delegate it")
    assert states(cgroup_outcomes=refused, euid=1000)["groups"] == (WARNING, "delegate it")
    state, remedy = states(reloaded_unit="system.slice")["groups"]
    assert state == WARNING
    assert "Delegate=yes" in remedy


def test_a_place_for_states() -> None:
    found = states(state_problem="this user may not write to '/run'")
    assert found["states"] == (ERROR, "choose another place with --root")


def test_helpers_of_ordinary_users() -> None:
    def line(name: str = "", *, tun: bool = True) -> Line:
        programs = {name: f"/usr/bin/{name}"} if name else {}
        found = host_lines(HostFacts(programs=programs, tun=tun))
        return next(line for line in found if line.name == "pasta")

    assert line().state == NOTE
    assert line().remedy == "install the package passt, or slirp4netns"
    for name in ("pasta", "slirp4netns"):
        found = line(name)
        assert (found.state, found.text) == (OK, f"/usr/bin/{name}")
        without = line(name, tun=False)
        assert (without.state, without.remedy[:22]) == (NOTE, "as root: modprobe tun;")


def test_ranges_of_subordinate_ids() -> None:
    text = "joe:100000:65536\n# a comment\njack:1:2\n1000:300000:10\nbad:x:y\njoe:5\n"
    assert parse_ranges(text, "joe", 1000) == [(100000, 65536), (300000, 10)]
    assert parse_ranges(text, "", 7) == []


# --- bundles ---


def lines_of(config: Config, machine_: HostFacts | None = None, **found: Any) -> list[Line]:
    process = Process(["/bin/true"], init=True)
    facts = BundleFacts(filesystems=["proc"], **found)
    return bundle_lines(facts, config, process, machine_ or machine())


def by_place(config: Config, machine_: HostFacts | None = None, **found: Any) -> dict[str, str]:
    return {line.place: line.state for line in lines_of(config, machine_, **found)}


def test_a_bundle_that_can_be_run() -> None:
    (line,) = lines_of(Config("/rootfs"), path="/bundle", steps=41)
    assert (line.state, line.name) == (OK, "/bundle")
    assert "41 steps" in line.text


def test_findings_are_lines_with_their_places() -> None:
    found = [
        ("linux.seccomp", "error", "not supported yet"),
        ("process.capabilities", "warning", "odd"),
    ]
    first, second = lines_of(Config("/rootfs"), findings=found)
    assert (first.place, first.state, first.text) == ("linux.seccomp", ERROR, "not supported yet")
    assert "take it out" in first.remedy
    assert (second.state, second.remedy) == (WARNING, "")


def test_what_a_bundle_names_and_the_host_lacks() -> None:
    config = Config(
        "/rootfs",
        namespaces=[Namespace("NEWPID"), Namespace("NEWTIME"), Namespace("NEWNET", "/proc/5/ns")],
        mounts=[
            Mount("/a", "/no/such", "bind", flags=MS_BIND),
            Mount("/b", "x", "strangefs"),
            Mount("/c", "/", "bind", flags=MS_BIND, id_mapping=MountIDMapping()),
        ],
    )
    lacking = machine(
        namespaces={"time": ("Invalid argument", "")},
        calls={"id-mapped mounts": ("Invalid argument", "")},
    )
    found = by_place(
        config,
        lacking,
        sources={0: "no such file or directory", 2: ""},
        joined={2: "no such file or directory"},
        cgroups=[("/sys/fs/cgroup/x", "this user may make no group", False)],
    )
    assert found == {
        "linux.namespaces[1]": ERROR,
        "linux.namespaces[2].path": ERROR,
        "mounts[0].source": ERROR,
        "mounts[1].type": WARNING,
        "mounts[2].options": ERROR,
        "linux.cgroupsPath": ERROR,
    }


def test_the_command() -> None:
    missing = 'exec: "x": executable file not found in $PATH'
    (line,) = lines_of(Config("/rootfs"), command=missing)
    assert (line.place, line.state, line.text) == ("process.args[0]", ERROR, missing)
    line, _ = lines_of(Config("/rootfs"), command=missing, command_place="mounts[3]")
    assert line.state == WARNING
    assert "mounts[3]" in line.text


def test_ids_that_a_user_may_map() -> None:
    def texts(*maps: IDMap, **changes: Any) -> list[str]:
        programs = {"newuidmap": "/bin/newuidmap", "newgidmap": "/bin/newgidmap"}
        values: dict[str, Any] = {
            "euid": 1000,
            "user": "joe",
            "subuids": [(100000, 65536)],
            "subgids": [(100000, 65536)],
            "programs": programs,
            **changes,
        }
        config = Config("/", uid_mappings=list(maps), gid_mappings=list(maps))
        return [f"{line.place}: {line.text}" for line in id_map_lines(config, machine(**values))]

    own, others = IDMap(0, 1000, 1), IDMap(1, 100000, 65536)
    assert texts(own) == []
    assert texts(own, others) == []
    assert texts(own, IDMap(1, 200000, 10), euid=0) == []
    assert texts(own, IDMap(1, 200000, 10)) == [
        "linux.uidMappings[1]: /etc/subuid gives joe no ids 200000 to 200009",
        "linux.gidMappings[1]: /etc/subgid gives joe no ids 200000 to 200009",
    ]
    assert texts(own, others, programs={}) == [
        "linux.uidMappings: more than one id: newuidmap is not installed",
        "linux.gidMappings: more than one id: newgidmap is not installed",
    ]


def test_what_a_file_needs_to_be_executed() -> None:
    assert interpreter_of(b"#!/bin/sh -e\necho") == "/bin/sh"
    assert interpreter_of(b"#! /usr/bin/env python3\n") == "/usr/bin/env"
    assert interpreter_of(b"#!\n") == interpreter_of(b"") == interpreter_of(b"text") == ""
    with open("/usr/bin/env", "rb") as file:
        assert interpreter_of(file.read(1 << 16)).startswith("/lib")


# --- showing ---

LINES = [
    Line("kernel", "clone3", OK, "works"),
    Line("bundle", "mounts[0]", ERROR, "not\033[1m there\n", "make it", "mounts[0]"),
    Line("bundle", "x", WARNING, "odd"),
]


def test_text() -> None:
    assert as_text(LINES, color=False) == (
        "kernel\n"
        "  ok       clone3: works\n"
        "\n"
        "bundle\n"
        "  error    mounts[0]: not\\x1b[1m there\\n\n"
        "             -> make it\n"
        "  warning  x: odd\n"
        "\n"
        "1 error, 1 warning\n"
    )
    assert "\033[31merror  \033[0m" in as_text(LINES, color=True)


def test_json() -> None:
    found = json.loads(as_json(LINES))
    assert found["ok"] is False
    assert found["lines"][1] == {
        "section": "bundle",
        "name": "mounts[0]",
        "state": "error",
        "text": "not\033[1m there\n",
        "remedy": "make it",
        "place": "mounts[0]",
    }
    assert json.loads(as_json(LINES[:1]))["ok"] is True


# --- looking ---


def test_trials_run_apart() -> None:
    def fails() -> None:
        raise FileNotFoundError(2, "not\nthere")

    assert attempt(lambda: None) == ("", "")
    assert attempt(fails) == ("not there", "")
    assert attempt(fails, lambda code: f"hint {code}") == ("not there", "hint 2")
    assert attempt(lambda: 1 / 0)[0].startswith("ZeroDivisionError")


def test_this_host_can_be_looked_at() -> None:
    facts = gather()
    assert facts.kernel
    assert facts.calls["openat2"] == ("", "")
    assert host_lines(facts)


def test_landlock_is_worth_a_note() -> None:
    def found(abi: int) -> Line:
        lines = host_lines(machine(landlock_abi=abi))
        return next(line for line in lines if line.name == "Landlock")

    assert (found(4).state, found(4).text) == (OK, "version 4")
    assert found(0).state == NOTE
    assert "Linux 5.13" in found(0).remedy


@pytest.mark.parametrize(
    ("ranges", "expected"),
    [
        ([(100, 10), (100, 10)], [(100, 10)]),
        ([(100, 10), (105, 10)], [(100, 10), (110, 5)]),
        ([(5, 10)], [(5, 2), (8, 7)]),
        ([(7, 1), (9, 0)], []),
        ([(100, 10), (90, 40)], [(100, 10), (90, 10), (110, 20)]),
    ],
)
def test_ranges_that_overlap_are_given_once(
    ranges: list[tuple[int, int]], expected: list[tuple[int, int]]
) -> None:
    assert disjoint(ranges, 7) == expected


def test_what_is_no_number_is_no_range() -> None:
    assert parse_ranges("joe:²:5\njoe:1:x\n", "joe", 7) == []
