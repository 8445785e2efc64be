"""Profiles of engines, as files: what is made of them for a machine, capabilities and a kernel."""

from __future__ import annotations

import errno
import json
from typing import TYPE_CHECKING, Any

import pytest

from libct.config.seccomp import Seccomp, SeccompArg, SeccompRule
from libct.errors import ConfigError
from libct.oci.profiles import Circumstances, Profile, read_profile
from libct.seccomp.architectures import named

from ..needs import requires
from ..seccomp.profiles import DOCKER, FAMILIES, PODMAN, engine_profile

if TYPE_CHECKING:
    from pathlib import Path

    from libct.errors import Finding

X86_64 = named("X86_64")


def read(
    tmp_path: Path,
    values: object,
    warnings: list[Finding] | None = None,
    *,
    machine: str = "X86_64",
    caps: str = "",
    kernel: str = "6.1",
) -> Profile:
    path = tmp_path / "p.json"
    path.write_text(json.dumps(values))
    circumstances = Circumstances(named(machine), caps.split(), kernel)
    return read_profile(str(path), circumstances, warnings)


def filter_of(tmp_path: Path, values: object, **more: Any) -> Seccomp:
    found = read(tmp_path, values, **more).seccomp
    assert found is not None
    return found


def with_rules(*rules: object, **more: Any) -> dict[str, Any]:
    return {"defaultAction": "SCMP_ACT_ERRNO", "syscalls": list(rules), **more}


def rule(name: str = "read", **more: Any) -> dict[str, Any]:
    return {"names": [name], "action": "SCMP_ACT_ALLOW", **more}


def problems(tmp_path: Path, values: object) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, values)
    return [str(finding) for finding in caught.value.findings]


@requires("podman_profile")
@pytest.mark.parametrize("caps", ["", "CAP_SYS_ADMIN CAP_AUDIT_WRITE CAP_SYS_PTRACE"])
@pytest.mark.parametrize("native", ["X86_64", "AARCH64", "S390X", "RISCV64"])
@pytest.mark.parametrize("path", [DOCKER, PODMAN], ids=["docker", "podman"])
def test_the_profiles_of_engines(path: Path, native: str, caps: str) -> None:
    found = read_profile(str(path), Circumstances(named(native), caps.split())).seccomp
    wanted = engine_profile(path, native, frozenset(caps.split()))
    assert found is not None
    assert found.syscalls == wanted.syscalls
    assert len(found.syscalls) > 5
    assert found.default_action == wanted.default_action
    assert found.default_errno_ret == wanted.default_errno_ret
    families = FAMILIES[native]
    listed = [f"SCMP_ARCH_{one}" for one in (native, *families)]
    assert found.architectures == (listed if families else [])


@pytest.mark.parametrize(
    ("conditions", "holds"),
    [
        ({}, True),
        ({"includes": {}, "excludes": {}}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_B"]}}, True),
        ({"includes": {"caps": ["CAP_A", "CAP_C"]}}, False),
        ({"excludes": {"caps": ["CAP_A", "CAP_C"]}}, False),
        ({"excludes": {"caps": ["CAP_C"]}}, True),
        ({"includes": {"arches": ["arm64", "amd64"]}}, True),
        ({"includes": {"arches": ["arm64", "x86"]}}, False),
        ({"excludes": {"arches": ["amd64"]}}, False),
        ({"excludes": {"arches": ["arm64"]}}, True),
        ({"includes": {"minKernel": "5.10"}}, True),
        ({"includes": {"minKernel": "5.11"}}, False),
        ({"includes": {"minKernel": "6.0"}}, False),
        ({"includes": {"minKernel": "4.99"}}, True),
        ({"excludes": {"minKernel": "5.10"}}, False),
        ({"excludes": {"minKernel": "5.11"}}, True),
        ({"includes": {"caps": ["CAP_A"], "arches": ["arm64"]}}, False),
        ({"includes": {"caps": ["CAP_A"]}, "excludes": {"caps": ["CAP_B"]}}, False),
    ],
)
def test_conditions(tmp_path: Path, conditions: dict[str, Any], holds: bool) -> None:
    values = with_rules(rule("write"), rule(**conditions), rule("close"))
    profile = read(tmp_path, values, caps="CAP_A CAP_B", kernel="5.10.3-generic")
    assert profile.seccomp is not None
    names = [one.names[0] for one in profile.seccomp.syscalls]
    assert names == ["write", *["read"] * holds, "close"]
    # Places are those of the file.
    assert profile.locate(f"syscalls[{len(names) - 1}].names: x") == "syscalls[2].names: x"


@pytest.mark.parametrize(
    ("native", "name"),
    [("X86", "x86"), ("MIPSEL64N32", "mips3l64n32"), ("PPC64LE", "ppc64le"), ("S390X", "s390x")],
)
def test_engines_have_names_of_their_own_for_machines(
    tmp_path: Path, native: str, name: str
) -> None:
    values = with_rules(rule(includes={"arches": [name]}))
    assert len(filter_of(tmp_path, values, machine=native).syscalls) == 1
    assert filter_of(tmp_path, values).syscalls == []


def test_names_of_errors(tmp_path: Path) -> None:
    def number(**fields: Any) -> int | None:
        values = with_rules({"names": ["read"], "action": "SCMP_ACT_ERRNO", **fields})
        return filter_of(tmp_path, values).syscalls[0].errno_ret

    assert number() is None
    assert number(errnoRet=5) == 5
    assert number(errno="ENOSYS", errnoRet=1) == errno.ENOSYS
    assert number(errno="95") == 95
    assert number(errno="", errnoRet=1) == 1
    values = with_rules(defaultErrno="EXDEV", defaultErrnoRet=38)
    assert filter_of(tmp_path, values).default_errno_ret == errno.EXDEV
    for name in ("ENOTHING", "errorcode", "E", "-1", "99999999999"):
        said = problems(tmp_path, with_rules(rule(errno=name)))
        assert said == [f"p.json: syscalls[0].errno: unknown error: {name!r}"]


def test_architectures(tmp_path: Path) -> None:
    machines = [
        {"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
        {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
    ]
    values = with_rules(archMap=machines)
    assert filter_of(tmp_path, values).architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"]
    assert filter_of(tmp_path, values, machine="RISCV64").architectures == []
    values = with_rules(architectures=["SCMP_ARCH_X86"])
    assert filter_of(tmp_path, values).architectures == ["SCMP_ARCH_X86"]


def test_all_else_is_as_in_a_configuration(tmp_path: Path) -> None:
    condition = {"index": 1, "value": 2, "valueTwo": 3, "op": "SCMP_CMP_MASKED_EQ"}
    found = filter_of(
        tmp_path,
        with_rules(
            {"name": "read", "action": "SCMP_ACT_LOG", "args": [condition], "comment": "x"},
            rule(args=None),
            flags=["SECCOMP_FILTER_FLAG_LOG"],
            listenerPath="/run/x",
            listenerMetadata="y",
        ),
    )
    assert found == Seccomp(
        "SCMP_ACT_ERRNO",
        flags=["SECCOMP_FILTER_FLAG_LOG"],
        syscalls=[
            SeccompRule(["read"], "SCMP_ACT_LOG", args=[SeccompArg(1, 2, 3, "SCMP_CMP_MASKED_EQ")]),
            SeccompRule(["read"], "SCMP_ACT_ALLOW"),
        ],
        listener_path="/run/x",
        listener_metadata="y",
    )


def test_mistakes_are_found_together_each_with_its_place(tmp_path: Path) -> None:
    values = with_rules(
        rule(includes={"minKernel": "4"}),
        # Also in rules that are not for this machine.
        rule(includes={"arches": ["arm64"], "caps": "CAP_A"}, args=[{"index": -1}]),
        {"names": ["read"], "name": "read"},
        {"action": "SCMP_ACT_ALLOW"},
        "x",
        archMap=[{}],
        architectures=["SCMP_ARCH_X86"],
    )
    said = problems(tmp_path, values)
    for message in (
        "syscalls[0].includes.minKernel: not a version like 4.8: '4'",
        "syscalls[1].includes.caps: not a list: 'CAP_A'",
        "syscalls[1].args[0].index: not between 0 and 4294967295: -1",
        "syscalls[1].args[0].op: missing",
        "syscalls[2].action: missing",
        "syscalls[2].name: cannot be used together with names",
        "syscalls[3].names: missing: no system call is named",
        "syscalls[4]: not an object: 'x'",
        "archMap: cannot be used together with architectures",
        "archMap[0].architecture: missing",
    ):
        assert f"p.json: {message}" in said


def test_what_is_no_profile_is_refused(tmp_path: Path) -> None:
    assert problems(tmp_path, []) == ["p.json: not an object: a list"]
    assert problems(tmp_path, {}) == [
        "p.json: defaultAction: missing: neither a profile nor a config.json"
    ]
    assert problems(tmp_path, {"syscalls": []}) == ["p.json: defaultAction: missing"]
    with pytest.raises(ConfigError, match="no such file or directory"):
        read_profile(str(tmp_path / "nothing"), Circumstances(X86_64))
    (tmp_path / "p.json").write_text('{"x": 1,}')
    with pytest.raises(ConfigError, match=r"p\.json:1:[89]: "):
        read_profile(str(tmp_path / "p.json"), Circumstances(X86_64))
    with pytest.raises(ConfigError, match=r"--kernel: not a version like 6\.1: 'six'"):
        Circumstances(X86_64, kernel="six")


def test_a_bundle_has_a_profile(tmp_path: Path) -> None:
    spec: dict[str, Any] = {"ociVersion": "1.2.0", "linux": {"seccomp": with_rules(rule())}}
    (tmp_path / "config.json").write_text(json.dumps(spec))
    for path in (tmp_path, tmp_path / "config.json"):
        found = read_profile(str(path), Circumstances(X86_64))
        assert found.seccomp == Seccomp(
            "SCMP_ACT_ERRNO", syscalls=[SeccompRule(["read"], "SCMP_ACT_ALLOW")]
        )
        assert found.name == "config.json"
        assert found.locate("syscalls[0].x") == "linux.seccomp.syscalls[0].x"
        assert found.locate("defaultAction: y") == "linux.seccomp.defaultAction: y"
    spec["linux"]["seccomp"]["syscalls"].append({"names": [1]})
    assert problems(tmp_path, spec) == [
        "p.json: linux.seccomp.syscalls[1].action: missing",
        "p.json: linux.seccomp.syscalls[1].names[0]: not a string: 1",
    ]
    del spec["linux"]["seccomp"]
    assert read(tmp_path, spec).seccomp is None
