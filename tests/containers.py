"""Containers that tests make with the library: configurations, and runs with their output."""

from __future__ import annotations

import contextlib
import functools
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import libct
from libct.cgroups.layout import detect
from libct.config import (
    NEWIPC,
    NEWNET,
    NEWNS,
    NEWPID,
    NEWUSER,
    NEWUTS,
    Config,
    Device,
    IDMap,
    Mount,
    Namespace,
)
from libct.config.mount_flags import MS_NODEV, MS_NOEXEC, MS_NOSUID

from .bundles import busybox_rootfs
from .commands import session_directory, state_root
from .names import unique
from .patience import patient
from .processes import CLONE_NEWNS, in_namespaces, mount

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PATH = "PATH=/bin"
USUAL = (NEWNS, NEWPID, NEWUTS, NEWIPC, NEWNET)
PROC = Mount("/proc", "proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
DEV = Mount("/dev", "tmpfs", "tmpfs", MS_NOSUID, data="mode=755,size=64k")
PTS = Mount("/dev/pts", "devpts", "devpts", MS_NOSUID, data="newinstance,ptmxmode=0666,mode=0620")
NULL = Device("/dev/null", "c", 1, 3)


@functools.cache
def shared_rootfs() -> Path:
    """A busybox rootfs that every user may enter, for tests that write nothing to it."""
    place = session_directory() / "containers"
    place.mkdir()
    return busybox_rootfs(place)


def state_directory() -> str:
    """The root of the states of the test process's containers."""
    return str(state_root())


def make_config(rootfs: Path | str = "", *, namespaces: Any = USUAL, **changes: Any) -> Config:
    """A container with /proc, /dev and no control groups.

    namespaces: types to make, or (type, path) to join; with NEWUSER all ids
        are mapped to those of the host, from 0 on and one by one.
    """
    spaces = [Namespace(*(one if isinstance(one, tuple) else (one,))) for one in namespaces]
    values: dict[str, Any] = {
        "rootfs": str(rootfs or shared_rootfs()),
        "namespaces": spaces,
        "mounts": [PROC, DEV, PTS],
        "devices": [NULL],
    }
    if any(space.type == NEWUSER and not space.path for space in spaces):
        values["uid_mappings"] = values["gid_mappings"] = [IDMap(0, 0, 65536)]
    return Config(**{**values, **changes})


class Run:
    """A run that is over: state, and what it has written to standard output and error."""

    def __init__(self, state: libct.ProcessState, output: str) -> None:
        self.state, self.output = state, output

    @property
    def lines(self) -> list[str]:
        return self.output.splitlines()


def shell(config: Config, script: str, **process: Any) -> Run:
    """Run a shell script as the first process of a container; it must succeed."""
    done = run(config, "sh", "-c", script, **process)
    assert done.state.success, f"{done.state}: {done.output}"
    return done


def run(config: Config, *args: str, **process: Any) -> Run:
    """Run a command as the first process of a container, and remove that."""
    with libct.create(state_directory(), unique(), config) as container:
        return run_in(container, *args, init=True, **process)


def run_in(container: libct.Container, *args: str, **process: Any) -> Run:
    """Run a process in a container to its end."""
    with tempfile.TemporaryFile("w+", errors="replace") as file:
        values = {"env": [PATH], "stdin": file, "stdout": file, "stderr": file, **process}
        started = libct.Process(args, **values)
        container.run(started)
        state = started.wait(patient(60))
        file.seek(0)
        return Run(state, file.read())


@contextlib.contextmanager
def running(config: Config, *args: str, **process: Any) -> Iterator[libct.Container]:
    """A container whose first process sleeps, or does what is asked for."""
    with libct.create(state_directory(), unique(), config) as container:
        container.run(libct.Process(args or ("sleep", "60"), init=True, env=[PATH], **process))
        yield container


def mount_v2() -> None:
    """Have the v2 tree on /sys/fs/cgroup, in a mount namespace; there is one tree of it anyway."""
    if detect().mode != "v2":  # where it is, it cannot be put on itself
        mount("cgroup2", "/sys/fs/cgroup", "cgroup2")


def with_v2(body: Callable[[], object], *, timeout: float = 60) -> None:
    """Run body where v2 is all there is, for timeout seconds at most."""

    def enter() -> None:
        mount_v2()
        assert detect().mode == "v2"
        control = Path("/sys/fs/cgroup/cgroup.subtree_control")
        before = control.read_text().split()
        try:
            body()
        finally:  # the tree is the host's too
            for controller in control.read_text().split():
                if controller not in before:
                    control.write_text(f"-{controller}")

    shared_rootfs()  # or the child would be the only one to know of it
    in_namespaces(CLONE_NEWNS, enter, timeout=timeout)
