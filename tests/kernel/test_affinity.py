"""On which CPUs containers run: those of the caller, all, or those that exec is told."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import pytest

from libct.config import NEWNS, NEWPID, Cgroup, CPUAffinity
from tests.containers import make_config, run as run_container, run_in, running, with_v2
from tests.support import (
    forked,
    libct,
    libct_command,
    libct_environment,
    make_bundle,
    requires,
    run,
    unique,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CPUS = sorted(os.sched_getaffinity(0))
LOOK = ["grep", "^Cpus_allowed_list", "/proc/self/status"]

pytestmark = [
    requires("root", "busybox"),
    pytest.mark.skipif(len(CPUS) < 2, reason="one CPU"),
    pytest.mark.usefixtures("nothing_left"),
]


def seen(text: str) -> list[int]:
    """The CPUs that LOOK has printed."""
    from libct.config.number_lists import parse_numbers

    return parse_numbers(text.partition(":")[2].strip())


def bound(*words: str | os.PathLike[str], cpu: int = CPUS[-1]) -> str:
    """What libct prints when its caller has bound it to one CPU."""
    command = ["taskset", "-c", str(cpu), *libct_command(*words)]
    return run(command, env=libct_environment(), check=True).stdout


@pytest.fixture
def sleeper(tmp_path: Path) -> Iterator[str]:
    name = unique()
    bundle = make_bundle(tmp_path, args=["sleep", "1000"])
    libct("run", "-d", "-b", bundle, name, check=True)
    yield name
    libct("delete", "--force", name, check=True)


def test_the_oci_commands_do_not_pass_on_what_their_caller_is_bound_to(tmp_path: Path) -> None:
    """Like newer versions of runc: else whoever is bound would bind all containers."""
    bundle, name = make_bundle(tmp_path, args=LOOK), unique()
    assert seen(bound("run", "-b", bundle, name)) == CPUS
    make_bundle(tmp_path, rootfs=bundle / "rootfs", args=["sleep", "1000"])
    bound("run", "-d", "-b", bundle, name)
    try:
        assert seen(bound("exec", name, *LOOK)) == CPUS
        pid = json.loads(libct("state", name, check=True).stdout)["pid"]
        assert sorted(os.sched_getaffinity(pid)) == CPUS
    finally:
        libct("delete", "--force", name, check=True)


@requires("cgroup1")
def test_they_keep_to_the_cpuset(tmp_path: Path) -> None:
    linux = {"resources": {"cpu": {"cpus": str(CPUS[0])}}}
    bundle = make_bundle(tmp_path, args=LOOK, linux=linux)
    assert seen(bound("run", "-b", bundle, unique())) == [CPUS[0]]


def test_sandbox_and_the_library_keep_it() -> None:
    assert seen(bound("sandbox", "--", *LOOK)) == [CPUS[-1]]
    # Also where its command has the name of another of libct's.
    assert seen(bound("sandbox", "--", "sh", "-c", " ".join(LOOK), "exec")) == [CPUS[-1]]

    config = make_config()

    def body() -> list[int]:
        os.sched_setaffinity(0, CPUS[-1:])
        return seen(run_container(config, *LOOK).output)

    assert forked(body) == CPUS[-1:]


# --- execCPUAffinity ---


def of_process(affinity: dict[str, str], **more: Any) -> str:
    return json.dumps({"args": LOOK, "cwd": "/", "execCPUAffinity": affinity, **more})


@pytest.mark.parametrize(
    ("affinity", "cpus"),
    [
        ({"final": f"{CPUS[0]}"}, CPUS[:1]),
        ({"initial": f"{CPUS[0]}", "final": f"{CPUS[-1]}"}, CPUS[-1:]),
        # After that it is the kernel's to say, and the cpuset has this one.
        ({"initial": f"{CPUS[0]}"}, CPUS[:1]),
        ({}, CPUS),
    ],
)
def test_of_a_further_process(
    sleeper: str, tmp_path: Path, affinity: dict[str, str], cpus: list[int]
) -> None:
    file = tmp_path / "process.json"
    file.write_text(of_process(affinity))
    assert seen(bound("exec", "--process", file, sleeper)) == cpus


def test_of_the_configuration_it_is_for_further_processes_alone(tmp_path: Path) -> None:
    affinity = {"execCPUAffinity": {"final": str(CPUS[0])}}
    bundle, name = make_bundle(tmp_path, args=["sleep", "1000"], process=affinity), unique()
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        pid = json.loads(libct("state", name, check=True).stdout)["pid"]
        assert sorted(os.sched_getaffinity(pid)) == CPUS
        assert seen(libct("exec", name, *LOOK, check=True).stdout) == CPUS[:1]
    finally:
        libct("delete", "--force", name, check=True)


def test_cpus_that_are_not_there(sleeper: str, tmp_path: Path) -> None:
    file = tmp_path / "process.json"
    file.write_text(of_process({"final": "1000"}))
    done = libct("exec", "--process", file, sleeper)
    assert done.returncode == 255
    assert "run on the CPUs (1000,)" in done.stderr
    assert "process.execCPUAffinity.final" in done.stderr


@requires("cgroup2")
@pytest.mark.parametrize("pid_namespace", [True, False])
def test_with_v2_the_first_cpus_are_those_before_the_group(pid_namespace: bool) -> None:
    """It is not cloned into the group then, but put there."""
    kinds = [NEWNS, NEWPID] if pid_namespace else [NEWNS]
    cgroups = Cgroup(name=unique())
    config = make_config(namespaces=kinds, cgroups=cgroups)

    def body() -> None:
        with running(config, "sleep", "60") as box:
            script = f"{' '.join(LOOK)}; grep ^0: /proc/self/cgroup"
            affinity = CPUAffinity(CPUS[:1], CPUS[-1:])
            args = ("/bin/sh", "-c", script)
            done = run_in(box, *args, cpu_affinity=affinity)
            lines = done.output.splitlines()
            assert seen(lines[0]) == CPUS[-1:]
            assert lines[1].endswith(f"/{cgroups.name}")
            with open(f"/proc/{box.state()['pid']}/cgroup") as file:
                assert lines[1] in file.read().splitlines()

    with_v2(body)
