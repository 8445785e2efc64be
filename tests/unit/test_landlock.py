"""Landlock rules: read, judged, and planned for kernels with and without what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from libct.bootstrap.client import _Run
from libct.bootstrap.context import Context
from libct.bootstrap.failure import Failure
from libct.config import Config, Landlock, Namespace, Seccomp
from libct.config.landlock import below_written
from libct.config.rules_landlock import landlock_rules
from libct.config.validate import facts_of_host, validate
from libct.life.host import Host
from libct.life.process import Process
from libct.oci.dump import spec_from_config
from libct.oci.load import config_from_spec
from libct.oci.load_linux import read_landlock
from libct.plan.capabilities import Grantable
from libct.plan.container import plan_start
from libct.plan.landlock import landlock_findings, rule_steps
from libct.plan.step import INIT, Plan
from libct.syscalls.landlock_constants import (
    LANDLOCK_ACCESS_FS_EXECUTE,
    LANDLOCK_ACCESS_FS_IOCTL_DEV,
    LANDLOCK_ACCESS_FS_READ_DIR,
    LANDLOCK_ACCESS_FS_READ_FILE,
    LANDLOCK_ACCESS_FS_REFER,
    LANDLOCK_ACCESS_FS_TRUNCATE,
)

if TYPE_CHECKING:
    from libct.errors import Finding
    from libct.plan.step import Step

PLACE = 'annotations["org.libct.landlock"]'
ALL = Landlock(["/r"], ["/w"], ["/x"], [1], [2], ["signal", "abstract_unix_socket"])


def texts(findings: list[Finding]) -> list[str]:
    return [
        f"{'?' * (one.level == 'warning')}{one.place.removeprefix(PLACE)}: {one.message}"
        for one in findings
    ]


# -- reading


def test_the_annotation_is_read() -> None:
    findings: list[Finding] = []
    text = '{"read": ["/"], "write": [], "bind_tcp": [0, 65535], "best_effort": true}'
    found = read_landlock(text, findings)
    assert found == Landlock(["/"], [], None, [0, 65535], None, [], best_effort=True)
    assert findings == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("{", [":1:2: Expecting property name enclosed in double quotes"]),
        ("[]", [": not an object: a list"]),
        (
            '{"exec": []}',
            [f": unknown field: 'exec' (known: {', '.join(sorted(Landlock.__annotations__))})"],
        ),
        ('{"read": "/"}', [".read: not a list: '/'"]),
        ('{"write": [1]}', [".write[0]: not a string: 1"]),
        ('{"bind_tcp": [65536]}', [".bind_tcp[0]: not between 0 and 65535: 65536"]),
        ('{"connect_tcp": ["80"]}', [".connect_tcp[0]: not a whole number: '80'"]),
        ('{"best_effort": 1}', [".best_effort: not true or false: 1"]),
    ],
)
def test_what_is_wrong_with_it_has_its_place(text: str, expected: list[str]) -> None:
    findings: list[Finding] = []
    read_landlock(text, findings)
    assert texts(findings) == expected


def of_spec(annotations: dict[str, str]) -> Config:
    spec = {"ociVersion": "1.2.0", "root": {"path": "rootfs"}, "annotations": annotations}
    return config_from_spec(spec, bundle="/bundle")[0]


def dumped(config: Config) -> Any:
    return spec_from_config(config).get("annotations", {})


def test_a_config_is_dumped_with_its_rules() -> None:
    assert of_spec({}).landlock is None
    annotations = {"org.libct.landlock": '{ "read" : ["/"] }', "other": "one"}
    config = of_spec(annotations)
    assert config.landlock == Landlock(["/"])
    assert dumped(config) == annotations
    config.landlock.write = []
    assert dumped(config)["org.libct.landlock"] == '{"read":["/"],"write":[]}'
    config.landlock = None
    assert dumped(config) == {"other": "one"}
    config = Config("/rootfs", landlock=ALL)
    assert of_spec(dumped(config)).landlock == ALL


# -- rules


@pytest.mark.parametrize(
    ("landlock", "expected"),
    [
        (ALL, []),
        (Landlock(read=[]), []),
        (Landlock(scope=["signal"]), []),
        (Landlock(best_effort=True), [": restricts nothing"]),
        (Landlock(read=["a", "/b\0"], execute=[""]), [
            ".read[0]: not absolute: 'a'",
            ".read[1]: has a NUL in it: '/b\\x00'",
            ".execute[0]: empty",
        ]),
        (Landlock(bind_tcp=[-1, 5], connect_tcp=[65536]), [
            ".bind_tcp[0]: not a port: -1",
            ".connect_tcp[0]: not a port: 65536",
        ]),
        (Landlock(["/w"], ["/w/", "/dev/null"], ["/wx", "/dev"]), []),
        (Landlock(["/w/./r"], ["/w", "//w/w"], ["/w/x"]), [
            f".{name}: {below_written(path, '/w')}"
            for name, path in (("read[0]", "/w/./r"), ("write[1]", "//w/w"), ("execute[0]", "/w/x"))
        ]),
        (Landlock(["/r"], ["/"]), [f".read[0]: {below_written('/r', '/')}"]),
        (Landlock(["/proc/1", "/proc/./self/fd"], execute=["/proc/thread-self"]), [
            ".read[1]: leads each process to its own: '/proc/./self/fd'",
            ".execute[0]: leads each process to its own: '/proc/thread-self'",
        ]),
        (Landlock(scope=["signals"]), [
            ".scope[0]: unknown scope: 'signals' (known: abstract_unix_socket, signal)"
        ]),
    ],
)  # fmt: skip
def test_rules(landlock: Landlock, expected: list[str]) -> None:
    findings: list[Finding] = []
    landlock_rules(landlock, findings)
    assert texts(findings) == expected
    assert set(expected) <= set(texts(validate(Config("/", landlock=landlock), facts_of_host())))


# -- what a kernel lacks


@pytest.mark.parametrize(
    ("abi", "lacking"),
    [
        (1, ["write", "bind_tcp", "connect_tcp", "scope"]),
        (3, ["write", "bind_tcp", "connect_tcp", "scope"]),
        (4, ["write", "scope"]),
        (5, ["scope"]),
        (6, []),
        (99, []),
    ],
)
def test_what_a_kernel_lacks_is_an_error(abi: int, lacking: list[str]) -> None:
    found = landlock_findings(ALL, abi)
    assert [one.place.removeprefix(f"{PLACE}.") for one in found] == lacking
    assert {one.level for one in found} <= {"error"}
    assert all(one.message.endswith(f"this kernel has {abi}") for one in found)
    easy = landlock_findings(ALL.copy(best_effort=True), abi)
    assert [one.level for one in easy] == ["warning"] * len(lacking)
    assert landlock_findings(Landlock(read=[], execute=[]), abi) == []


def test_a_kernel_without_landlock() -> None:
    (found,) = landlock_findings(Landlock(read=[]), 0)
    assert (found.place, found.level) == (PLACE, "error")
    (found,) = landlock_findings(Landlock(read=[], best_effort=True), 0)
    assert found.level == "warning"
    assert rule_steps(ALL.copy(best_effort=True), 0) == []


def restricted(landlock: Landlock, abi: int) -> tuple[int, int, int]:
    """The arguments of the ruleset; no rule allows what that does not restrict."""
    first, *rules = rule_steps(landlock, abi)
    fs, net, scoped = first.args
    for rule in rules:
        allowed = rule.args[2]
        assert allowed & (fs if rule.op == "landlock_path" else net) == allowed != 0
    return fs, net, scoped


def test_best_effort_does_what_the_kernel_can() -> None:
    easy = ALL.copy(best_effort=True)
    first = (1 << 13) - 1
    refer = first | LANDLOCK_ACCESS_FS_REFER
    truncate = refer | LANDLOCK_ACCESS_FS_TRUNCATE
    ioctl = truncate | LANDLOCK_ACCESS_FS_IOCTL_DEV
    expected = {
        1: (first, 0, 0),
        2: (refer, 0, 0),
        3: (truncate, 0, 0),
        4: (truncate, 3, 0),
        5: (ioctl, 3, 0),
        6: (ioctl, 3, 3),
        7: (ioctl, 3, 3),
    }
    assert {abi: restricted(easy, abi) for abi in expected} == expected
    assert rule_steps(Landlock(bind_tcp=[1], best_effort=True), 3) == []


def test_without_it_nothing_is_left_out() -> None:
    assert restricted(ALL, 1) == restricted(ALL, 7)


def test_a_list_restricts_its_own_kind_alone() -> None:
    read = LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR
    assert restricted(Landlock(read=[]), 1) == (read, 0, 0)
    # Renames and links, which the kernel would forbid, are allowed by a rule about "/".
    refer = LANDLOCK_ACCESS_FS_REFER
    assert restricted(Landlock(read=[]), 7) == (read | refer, 0, 0)
    assert [step.args[1:3] for step in rule_steps(Landlock(read=[]), 7)[1:]] == [("/", refer)]
    assert restricted(Landlock(execute=["/"]), 7) == (LANDLOCK_ACCESS_FS_EXECUTE | refer, 0, 0)
    assert len(rule_steps(Landlock(write=[]), 7)) == 1
    assert restricted(Landlock(bind_tcp=[5]), 7) == (0, 1, 0)
    assert restricted(Landlock(connect_tcp=[]), 7) == (0, 2, 0)
    assert restricted(Landlock(scope=["signal"]), 7) == (0, 0, 2)


# -- its place in a start


def test_what_no_rule_has_found_is_garbled() -> None:
    plan = Plan()
    plan.add(INIT, "process", rule_steps(Landlock(read=["/r"], write=[]), 7))
    run = _Run(plan, Context(), False, "one", False)
    run._take_found(2, "text")
    assert run.context.values["found"] == {"/r": "text"}
    for number in (0, 1, 3):
        with pytest.raises(Failure):
            run._take_found(number, "text")


@pytest.mark.parametrize("path", ["", "/proc/5/ns/pid"])
@pytest.mark.parametrize("privileges", [True, False])
def test_rules_are_entered_while_that_is_possible(path: str, *, privileges: bool) -> None:
    config = Config(
        "/rootfs",
        namespaces=[Namespace("NEWNS"), Namespace("NEWPID", path)],
        landlock=ALL,
        seccomp=Seccomp("SCMP_ACT_ALLOW") if privileges else None,
        no_new_privileges=privileges,
    )
    host = Host(capabilities=Grantable(), landlock_abi=7)
    plan = plan_start(config, Process(["true"], init=True), host, None, "name")

    def at(op: str) -> int:
        return [step.op for step in plan].index(op)

    entered = at("landlock_restrict")
    assert at("pivot") < at("landlock_ruleset") < at("become_user") < entered
    assert entered < at("set_capabilities") < at("await_start")
    assert plan.steps[entered].args == (not privileges,)
    assert not privileges or entered < at("load_filter")
    makers: list[Step] = [step for step in plan if step.op.startswith("landlock_")]
    assert len({step.process for step in (*makers, plan.steps[at("become_user")])}) == 1
