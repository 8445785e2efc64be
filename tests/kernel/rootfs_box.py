"""Containers for the tests of libct.rootfs: a busybox, and what it says."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import TYPE_CHECKING, Any, NamedTuple

import libct
from libct.oci.mount_options import apply_options
from libct.syscalls.constants import CAPABILITIES
from tests.support import busybox_rootfs, session_directory, state_root, unique

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

PATH = "PATH=/bin:/usr/bin:/sbin:/usr/sbin"
# Ids of the container's, and of the host that they are: root is 100000.
MAPPED = {
    "uid_mappings": [libct.IDMap(0, 100_000, 65_536)],
    "gid_mappings": [libct.IDMap(0, 100_000, 65_536)],
}


class Outcome(NamedTuple):
    """How the command ended, standard output and error, and what libct has warned of."""

    status: int
    text: str
    warnings: tuple[str, ...] = ()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@contextlib.contextmanager
def new_rootfs() -> Iterator[Path]:
    """A rootfs where everybody may go, root of a user namespace too; removed at the end."""
    place = session_directory() / unique("rootfs")
    place.mkdir(mode=0o755)
    try:
        yield busybox_rootfs(place)
    finally:
        shutil.rmtree(place)


def mount(
    destination: str, kind: str, source: str = "", *options: str, **fields: Any
) -> libct.Mount:
    """A mount with options as config.json has them."""
    made = libct.Mount(destination, source or kind, kind, **fields)
    apply_options(made, options)
    return made


def bind(destination: str, source: object, *options: str, **fields: Any) -> libct.Mount:
    return mount(destination, "bind", str(source), "bind", *options, **fields)


def base_mounts(dev: Iterable[str] = ()) -> list[libct.Mount]:
    """/proc, /dev and /dev/pts.  dev: more options of /dev."""
    return [
        mount("/proc", "proc"),
        mount("/dev", "tmpfs", "tmpfs", "nosuid", "mode=755", *dev),
        mount("/dev/pts", "devpts", "devpts", "nosuid", "noexec", "newinstance", "ptmxmode=0666"),
    ]


def make_config(
    rootfs: object,
    mounts: Iterable[libct.Mount] = (),
    *,
    user: bool = False,
    kinds: Iterable[str] = ("NEWNS", "NEWPID", "NEWUTS", "NEWIPC"),
    base: bool = True,
    full: bool = False,
    **fields: Any,
) -> libct.Config:
    """mounts are made after base_mounts().

    user: in a user namespace, with MAPPED ids.  full: with all capabilities.
    """
    if full:
        names = list(CAPABILITIES)
        fields["capabilities"] = libct.Capabilities(
            bounding=names, effective=names, permitted=names
        )
    namespaces = [libct.Namespace(kind) for kind in kinds]
    if user:
        namespaces.append(libct.Namespace("NEWUSER"))
        fields = {**MAPPED, **fields}
    fields.setdefault("devices", list(libct.ALLOWED_DEVICES) if base else [])
    return libct.Config(
        rootfs=str(rootfs),
        namespaces=namespaces,
        mounts=[*(base_mounts() if base else []), *mounts],
        **fields,
    )


def run_config(config: libct.Config, *args: str, **process: Any) -> Outcome:
    """Run args, or /bin/sh -c and one argument, to its end."""
    command = list(args) if len(args) > 1 else ["/bin/sh", "-c", *args]
    return run_prepared(config, libct.Process(command, env=[PATH], init=True, **process))


def run_prepared(config: libct.Config, process: libct.Process) -> Outcome:
    """Run a process without input to its end."""
    output = os.memfd_create("output")
    null = os.open(os.devnull, os.O_RDONLY)
    process.stdin, process.stdout, process.stderr = null, output, output
    try:
        with libct.create(str(state_root()), unique("box"), config) as container:
            container.run(process)
            status = process.wait().status
            warnings = tuple(container.warnings)
        return Outcome(status, os.pread(output, 1 << 20, 0).decode(), warnings)
    finally:
        os.close(output)
        os.close(null)


def run_box(
    rootfs: object, script: str, mounts: Iterable[libct.Mount] = (), **fields: Any
) -> Outcome:
    return run_config(make_config(rootfs, mounts, **fields), script)


@contextlib.contextmanager
def running(config: libct.Config) -> Iterator[int]:
    """The pid of a container that sleeps until the end of the block."""
    null = os.open(os.devnull, os.O_RDWR)
    try:
        made = libct.Process(
            ["/bin/sleep", "60"], env=[PATH], init=True, stdin=null, stdout=null, stderr=null
        )
        with libct.create(str(state_root()), unique("box"), config) as container:
            container.run(made)
            yield made.pid
    finally:
        os.close(null)


class Mounted(NamedTuple):
    """A line of mountinfo."""

    point: str
    options: frozenset[str]
    propagation: frozenset[str]
    fstype: str
    source: str
    super_options: frozenset[str]


def mounted(mountinfo: str) -> dict[str, Mounted]:
    """Mount point -> what is mounted there, the topmost."""
    found = {}
    for line in mountinfo.splitlines():
        if " - " not in line:
            continue
        before, after = (part.split() for part in line.split(" - "))
        found[before[4]] = Mounted(
            before[4],
            frozenset(before[5].split(",")),
            frozenset(field.partition(":")[0] for field in before[6:]),
            after[0],
            after[1],
            frozenset(after[2].split(",")),
        )
    return found


def mounts_of(pid: int) -> dict[str, Mounted]:
    with open(f"/proc/{pid}/mountinfo") as file:
        return mounted(file.read())
