"""Namespaces: their names in a Config, in the runtime-spec, in /proc, and their clone flags."""

from __future__ import annotations

from .record import Record

NEWNS = "NEWNS"
NEWUTS = "NEWUTS"
NEWIPC = "NEWIPC"
NEWUSER = "NEWUSER"
NEWPID = "NEWPID"
NEWNET = "NEWNET"
NEWCGROUP = "NEWCGROUP"
NEWTIME = "NEWTIME"

# Type -> name in the runtime-spec (config-linux.md, Namespaces).
SPEC_NAMES = {
    NEWUSER: "user",
    NEWIPC: "ipc",
    NEWUTS: "uts",
    NEWNET: "network",
    NEWPID: "pid",
    NEWNS: "mount",
    NEWCGROUP: "cgroup",
    NEWTIME: "time",
}

# Type -> name in /proc/PID/ns, in the order in which they are joined: with the
# user namespace come the rights over the others (setns(2)).
PROC_NAMES = {
    NEWUSER: "user",
    NEWIPC: "ipc",
    NEWUTS: "uts",
    NEWNET: "net",
    NEWPID: "pid",
    NEWNS: "mnt",
    NEWCGROUP: "cgroup",
    NEWTIME: "time",
}

# include/uapi/linux/sched.h, clone(2)
CLONE_FLAGS = {
    NEWUSER: 0x10000000,
    NEWIPC: 0x08000000,
    NEWUTS: 0x04000000,
    NEWNET: 0x40000000,
    NEWPID: 0x20000000,
    NEWNS: 0x00020000,
    NEWCGROUP: 0x02000000,
    NEWTIME: 0x00000080,
}


class Namespace(Record):
    """A namespace of the container: a new one, or the one at path (/proc/PID/ns/...)."""

    type: str  # NEWNS, ...
    path: str = ""


class IDMap(Record):
    """size ids from container_id on, inside, are those from host_id on, outside."""

    container_id: int
    host_id: int
    size: int


class TimeOffset(Record):
    """What a clock of the time namespace is ahead of the host's; secs may be negative."""

    secs: int = 0
    nanosecs: int = 0


def map_text(mappings: list[IDMap]) -> str:
    """Mappings as the lines of /proc/PID/uid_map (user_namespaces(7))."""
    return "".join(f"{at.container_id} {at.host_id} {at.size}\n" for at in mappings)
