"""`libct seccomp`: dump, explain and lint of a profile."""

from __future__ import annotations

import json
import platform
from typing import TYPE_CHECKING

import pytest

from libct.cli import main
from libct.plan.seccomp import AFTER, AFTER_CLONE, AFTER_HOOKS, AFTER_RIGHTS, AFTER_WAIT

from ..needs import requires
from ..seccomp.profiles import DOCKER, PODMAN

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(platform.machine() != "x86_64", reason="this machine lacks: x86_64")


class Told:
    """What the command writes, and how it ends."""

    def __init__(self, capfd: pytest.CaptureFixture[str]) -> None:
        self._capfd = capfd

    def __call__(self, *words: object, status: int = 0, error: str = "") -> str:
        ended = main(["seccomp", *map(str, words)])
        out, err = self._capfd.readouterr()
        assert err == (f"libct: {error}\n" if error else "")
        assert ended == (1 if error else status)
        return out


@pytest.fixture
def told(capfd: pytest.CaptureFixture[str]) -> Told:
    return Told(capfd)


def test_dump_writes_the_instructions(told: Told) -> None:
    lines = told("dump", DOCKER).splitlines()
    assert lines[0] == f"# {len(lines) - 1} instructions, for X86_64, X86, X32"
    assert lines[1] == "   0  A = architecture"
    assert lines[2].startswith("   1  if A == X86_64 go to 2 else ")
    assert any("(clone)" in line for line in lines)
    assert told("dump", "default", "--arch", "riscv64").endswith("return KILL_THREAD\n")


def test_dump_writes_the_profile_with_its_conditions_decided(told: Told, tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    for source in (DOCKER, "default"):
        for options in ((), ("--cap", "sys_admin")):
            path.write_text(told("dump", "--json", source, *options))
            assert told("dump", path) == told("dump", source, *options)
            assert set(json.loads(path.read_text())) <= {
                *("defaultAction", "defaultErrnoRet", "architectures", "syscalls"),
            }
    told("lint", "--json", "default", error="seccomp lint: --json is for dump")


def test_explain_tells_on_which_architecture_which_rule_decides(told: Told) -> None:
    lines = told("explain", DOCKER, "ptrace").splitlines()
    assert lines[::2] == [
        "X86_64: ptrace, number 101",
        "X86: ptrace, number 26",
        "X32: ptrace, number 1073742345",
    ]
    assert all(line.startswith("  ALLOW  by syscalls[1], after ") for line in lines[1::2])
    assert len(lines) == 6
    assert len(told("explain", DOCKER, "ptrace", "--arch", "x86").splitlines()) == 2


def test_explain_decides_the_conditions_of_an_engine_s_profile(told: Told) -> None:
    refused, allowed = "  ERRNO(EPERM)  by defaultAction", "  ALLOW  by syscalls[13]"
    on = ("--arch", "x86_64")
    assert refused in told("explain", DOCKER, "mount", *on)
    for name in ("CAP_SYS_ADMIN", "sys_admin", "all"):
        assert allowed in told("explain", DOCKER, "mount", *on, "--cap", name)
    assert refused in told("explain", DOCKER, "ptrace", *on, "--kernel", "4.7.9")
    assert "ALLOW" in told("explain", DOCKER, "ptrace", *on, "--kernel", "4.10")


def test_explain_shows_all_that_arguments_decide(told: Told) -> None:
    assert told("explain", "default", "clone", "--arch", "x86_64") == (
        "X86_64: clone, number 56\n"
        "  ALLOW         by syscalls[19], where argument 0 & 0x7e020000 == 0x0\n"
        "  ERRNO(EPERM)  by defaultAction, where none of that holds\n"
    )
    given = told("explain", "default", "clone", "0x10000011", "--arch", "x86_64")
    assert given.startswith("X86_64: clone, number 56\n  ERRNO(EPERM)  by defaultAction, after ")
    given = told("explain", "default", "ioctl", "--arch", "x86_64", "--", "-1", "0x5412")
    assert "  ERRNO(EIO)  by syscalls[11], after " in given


def test_explain_by_way_of_another_call_and_by_number(told: Told) -> None:
    lines = told("explain", DOCKER, "socket", "--arch", "x86").splitlines()
    assert lines[0] == "X86: socket, number 359"
    assert lines[2] == "X86: socket, by way of socketcall"
    lines = told("explain", DOCKER, "500", "--arch", "x86_64").splitlines()
    assert lines[0] == "X86_64: 500"
    assert lines[1].startswith("  ERRNO(ENOSYS)  newer than all that the profile names, after ")
    assert "not listed in architectures" in told("explain", "default", "read", "--arch", "x32")


def test_explain_gives_the_reasons_of_the_default_profile(told: Told) -> None:
    assert told("explain", "default", "reboot").endswith(
        "The end of the machine.  Allowed to who has CAP_SYS_BOOT.\n"
    )
    assert told("explain", "default", "io_uring_setup").endswith("; programs do without.\n")


def test_lint(told: Told, tmp_path: Path) -> None:
    assert told("lint", "default") == ""
    assert told("lint", DOCKER) == ""
    allowed = {"names": [*AFTER, *AFTER_WAIT], "action": "SCMP_ACT_ALLOW", "errnoRet": 1}
    excluded = {"names": ["mkdir"], "action": "SCMP_ACT_LOG", "excludes": {"arches": ["amd64"]}}
    rules = [excluded, allowed, {"names": ["redd"], "action": "SCMP_ACT_ALLOW"}]
    path = tmp_path / "x.json"
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}))
    for_some = told("lint", path)
    for name in (*AFTER_RIGHTS, "setsid", "dup2"):
        assert f"warning: x.json: defaultAction: {name} is not let through, which " in for_some
    every = [*AFTER, *AFTER_WAIT, *AFTER_RIGHTS, *AFTER_CLONE, *AFTER_HOOKS]
    allowed["names"] = [*dict.fromkeys(every)]
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}))
    assert told("lint", path) == (
        "warning: x.json: syscalls[1].errnoRet: has no effect: SCMP_ACT_ALLOW returns no error"
        " number\n"
        "warning: x.json: syscalls[2].names[0]: unknown system call: 'redd' (did you mean read?)\n"
    )
    allowed["names"] = AFTER[1:]
    path.write_text(json.dumps({"defaultAction": "SCMP_ACT_ERRNO", "syscalls": rules}))
    lines = told("lint", path, status=1).splitlines()
    assert (
        f"error: x.json: defaultAction: {AFTER[0]} is not let through, which every start makes"
        " under the filter" in lines
    )


@requires("podman_profile")
def test_lint_names_rules_by_their_places_in_the_file(told: Told) -> None:
    """In that profile rule 33 is rule 31 once more, and rule 1 has setns already."""
    lines = told("lint", PODMAN).splitlines()
    assert "warning: seccomp.json: syscalls[33]: never matches: syscalls[31] decides on socket" in (
        lines
    )
    assert "warning: seccomp.json: syscalls[15]: syscalls[1] decides on setns" in lines


def test_a_bundle(told: Told, tmp_path: Path) -> None:
    profile = {"defaultAction": "SCMP_ACT_ALLOW"}
    profile["syscalls"] = [{"names": ["mkdir"], "action": "SCMP_ACT_TRAP"}]  # type: ignore[assignment]
    path = tmp_path / "config.json"
    path.write_text(json.dumps({"linux": {"Seccomp": profile}}))
    lines = told("explain", tmp_path, "mkdir").splitlines()
    assert lines[0].startswith("warning: config.json: linux.seccomp: spelled 'Seccomp', but read")
    assert lines[2].startswith("  TRAP  by linux.seccomp.syscalls[0], after ")
    profile["defaultErrnoRet"] = 99999  # type: ignore[assignment]
    profile["defaultAction"] = "SCMP_ACT_ERRNO"
    path.write_text(json.dumps({"linux": {"seccomp": profile}}))
    place = "config.json: linux.seccomp.defaultAction"
    message = f"{place}: SCMP_ACT_ERRNO takes numbers from 0 to 4095: 99999"
    told("dump", path, error=message)
    assert told("lint", path, status=1) == f"error: {message}\n"
    path.write_text(json.dumps({"linux": {}}))
    told("dump", tmp_path, error="config.json: linux.seccomp: missing: no filter")


def test_mistakes(told: Told) -> None:
    told("explian", "default", error="seccomp: no such command: 'explian' (did you mean explain?)")
    told("dump", "default", "x", error="seccomp dump: unexpected argument 'x'")
    told("explain", "default", error="seccomp explain: missing: CALL")
    told("explain", "default", "read", *"1234567", error="seccomp explain: unexpected argument '7'")
    for text in ("x", "0x10000000000000000", "1.5"):
        message = f"seccomp explain: not a number of 64 bits: '{text}'"
        told("explain", "default", "read", text, error=message)
    message = "no such system call: 'raed' (X86_64, X86) (did you mean read?)"
    told("explain", "default", "raed", error=message)
    told("dump", "/nowhere", error="/nowhere: no such file or directory")
    told("dump", "default", "--cap", "x", error="--cap: no such capability: 'x'")
    message = "--kernel: not a version like 6.1: 'new'"
    told("dump", "default", "--kernel", "new", error=message)
    message = "--arch: no table of system calls for VAX"
    told("dump", "default", "--arch", "vax", error=message)
