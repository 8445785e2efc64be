"""runc's phrases in lines of errors, where Debian's runc is too old to know what they are about.

For the others see test_differential.py.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from ..support import libct, make_bundle, requires, unique

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [requires("root", "busybox"), pytest.mark.usefixtures("nothing_left")]

_DEADLINE = {
    "policy": "SCHED_DEADLINE",
    "runtime": 42000,
    "deadline": 1000000,
    "period": 1000000,
}
_INVALID = "libct: linux.memoryPolicy."
_MODE, _NODES, _FLAG = (f"invalid memory policy {field}: " for field in ("mode", "nodes", "flag"))
POLICIES: dict[str, tuple[dict[str, Any], str]] = {
    "unknown": ({"mode": "INTERLEAVE", "nodes": "0"}, f"{_INVALID}mode: {_MODE}unknown: 'INTER"),
    "missing": ({"nodes": "0-7"}, f"{_INVALID}mode: {_MODE}missing"),
    "number": ({"mode": 1}, f"{_INVALID}mode: {_MODE}not a string: 1"),
    "nodes": (
        {"mode": "MPOL_BIND", "nodes": "0-9876543210"},
        f"{_INVALID}nodes: {_NODES}9876543210 is too large",
    ),
    "no nodes": (
        {"mode": "MPOL_BIND"},
        f"{_INVALID}nodes: {_NODES}this mode requires at least",
    ),
    "of none": (
        {"mode": "MPOL_DEFAULT", "nodes": "0-7"},
        f"{_INVALID}nodes: {_NODES}this mode requires 0 nodes but got 8",
    ),
    "flag": (
        {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "badflag"]},
        f"{_INVALID}flags[1]: {_FLAG}unknown: 'badflag' (known: ",
    ),
    "kernel": (
        {"mode": "MPOL_BIND", "nodes": "876"},
        (
            "libct: unable to start container process: invalid memory policy: cannot set the NUMA"
            " memory policy: set_mempolicy("
        ),
    ),
}


def refused(bundle: Path) -> str:
    done = libct("run", "-b", bundle, unique())
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    return line


@pytest.mark.parametrize("name", POLICIES)
def test_memory_policies(tmp_path: Path, name: str) -> None:
    policy, words = POLICIES[name]
    assert refused(make_bundle(tmp_path, linux={"memoryPolicy": policy})).startswith(words)


@pytest.mark.skipif(os.cpu_count() == 1, reason="one CPU is all CPUs")
@pytest.mark.parametrize("limited", [True, False])
def test_a_deadline_on_some_of_the_cpus(tmp_path: Path, limited: bool) -> None:
    resources = {"cpu": {"cpus": "0"}} if limited else {}
    bundle = make_bundle(tmp_path, process={"scheduler": _DEADLINE}, linux={"resources": resources})
    if not limited:
        done = libct("run", "-b", bundle, unique(), check=True)
        assert done.stderr == ""
        return
    line = refused(bundle)
    assert "cannot set the scheduling policy: sched_setattr(0, {sched_policy=SCHED_DEADLINE" in line
    assert (
        ": operation not permitted (process scheduler can't be used together with AllowedCPUs:"
        " SCHED_DEADLINE needs all CPUs, linux.resources.cpu.cpus gives '0'; it needs CAP_SYS_NICE"
    ) in line
