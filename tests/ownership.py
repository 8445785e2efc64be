"""Whose control groups are: what tests of that share."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from libct.cgroups.layout import detect
from libct.life.container import list_containers

from .containers import state_directory, with_v2
from .support import (
    CLONE_NEWNS,
    Snapshot,
    in_namespaces,
    libct,
    requires,
    unique,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def with_v1(body: Callable[[], object]) -> None:
    """Run body where the host's own hierarchies can be mounted in another way."""
    in_namespaces(CLONE_NEWNS, body)


ON = [
    pytest.param(with_v1, id="v1", marks=requires("cgroup1")),
    pytest.param(with_v2, id="v2", marks=requires("cgroup2")),
]
on_both = pytest.mark.parametrize("on", ON)
USUAL = [{"type": kind} for kind in ("mount", "uts", "ipc", "pid", "network")]
SHARED_PIDS = [space for space in USUAL if space["type"] != "pid"]


def path_of(bundle: Path) -> str:
    path: str = json.loads((bundle / "config.json").read_text())["linux"]["cgroupsPath"]
    return path.lstrip("/")


def seen(bundle: Path) -> set[str]:
    """What there is of this run of the tests."""
    # Descriptors are the test process's own; the others go when their reader does.
    found = {text for text in Snapshot(bundle).found if not text.startswith("descriptor ")}
    return found | {f"listed {one.id}" for one in list_containers(state_directory())}


def assert_seen(bundle: Path, expected: set[str]) -> None:
    """It is as it was; what ends may take a moment for it."""
    wait_until(lambda: seen(bundle) == expected, patience=3)
    assert seen(bundle) == expected


def hierarchies() -> list[str]:
    """Where they are mounted."""
    layout = detect()
    found = [*layout.controllers.values(), *([layout.unified] if layout.unified else [])]
    return list(dict.fromkeys(one.mount for one in found))


def make_groups(path: str) -> list[str]:
    """Make this group, which takes processes, in every hierarchy."""
    made = []
    for top in hierarchies():
        directory = top
        for name in path.split("/"):
            above, directory = directory, f"{directory}/{name}"
            if not os.path.isdir(directory):
                os.mkdir(directory)
            for file in ("cpuset.cpus", "cpuset.mems"):  # v1: an empty one takes no process
                if top.endswith("/cpuset"):
                    Path(directory, file).write_text(Path(above, file).read_text())
        made.append(directory)
    return made


def existing(path: str) -> list[str]:
    """The hierarchies that have this group."""
    return [top for top in hierarchies() if os.path.isdir(f"{top}/{path}")]


@contextlib.contextmanager
def groups(path: str) -> Iterator[list[str]]:
    """Groups of somebody else's, with the levels above them."""
    try:
        yield make_groups(path)
    finally:
        while path:
            for top in existing(path):
                os.rmdir(f"{top}/{path}")
            path = path.rpartition("/")[0]


@contextlib.contextmanager
def stranger(*directories: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process of somebody else's in these groups; it is to live until the end."""
    process = subprocess.Popen(["sleep", "1000"])
    try:
        for directory in directories:
            Path(directory, "cgroup.procs").write_text(str(process.pid))
        yield process
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def status_of(name: str) -> str:
    done = libct("state", name)
    if done.returncode:
        assert "container does not exist" in done.stderr
        return "unknown"
    status: str = json.loads(done.stdout)["status"]
    return status


def refused(bundle: Path, *words: str) -> str:
    """What is said about a start that has failed, and left everything as it was."""
    before, name = seen(bundle), unique()
    done = libct(*words, "-b", bundle, name)
    assert done.returncode == 1, done
    assert_seen(bundle, before)
    assert status_of(name) == "unknown"
    assert name not in libct("list", "-q", check=True).stdout
    return done.stderr


@contextlib.contextmanager
def started(bundle: Path) -> Iterator[str]:
    name = unique()
    libct("run", "-d", "-b", bundle, name, check=True)
    try:
        yield name
    finally:
        done = libct("delete", "--force", name)
    assert (done.returncode, done.stderr) == (0, "")
