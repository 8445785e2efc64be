"""Which control groups the host has: mounts, controllers, and the group we are in.

parse_own and layout_of work on text and values alone; detect reads the files.

Sources: cgroups(7); proc_pid_mountinfo(5); the kernel's admin-guide/cgroup-v1
and admin-guide/cgroup-v2.
"""

from __future__ import annotations

import posix

from ..loading.paths import fsdecode, is_directory, rest
from ..syscalls.userns import in_user_namespace
from .mounted import cgroup_mounts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from .mounted import CgroupMount

CGROUP_ROOT = "/sys/fs/cgroup"


class Hierarchy:
    """A tree of control groups, as far as it is mounted.

    mount: where.  root: which group is mounted there, "/" for the whole tree.
    own: the group of this process, named from the tree's root as well (it
        begins with "/.." if it is outside of the cgroup namespace).
    noprefix: files of the cpuset controller are "cpus" and "mems" (a mount as
        cpuset(7) has it).
    """

    __slots__ = ("mount", "noprefix", "own", "root")

    def __init__(self, mount: str, root: str = "/", own: str = "/", noprefix: bool = False) -> None:
        self.mount, self.root, self.own, self.noprefix = mount, root, own, noprefix

    def __repr__(self) -> str:
        more = ", noprefix=True" if self.noprefix else ""
        return f"Hierarchy({self.mount!r}, {self.root!r}, {self.own!r}{more})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Hierarchy) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # a value

    @property
    def own_below(self) -> str | None:
        """Our own group as a path below the mount, "" for the mount itself; None if not below."""
        if self.root == "/":
            below = self.own
        elif self.own == self.root or self.own.startswith(self.root + "/"):
            below = self.own[len(self.root) :]
        else:
            return None
        return None if below.startswith("/..") else below.strip("/")


class Layout:
    """The facts: no file is looked at after they have been gathered.

    mode: "v1", "v2", "hybrid" (limits are v1's, and there is a v2 tree without
        them), or "none".
    controllers: the v1 hierarchy of each controller ("cpu", "name=systemd").
    unified: the v2 hierarchy, of modes v2 and hybrid.
    v2_controllers: what the top of the v2 mount offers.
    systemd: systemd is process 1.  userns: we are in a user namespace.
    aside: we may leave our own v2 group, for containers to be below it (aside.py).
    """

    __slots__ = ("aside", "controllers", "mode", "systemd", "unified", "userns", "v2_controllers")

    def __init__(
        self,
        mode: str = "none",
        controllers: dict[str, Hierarchy] | None = None,
        unified: Hierarchy | None = None,
        v2_controllers: Iterable[str] = (),
        systemd: bool = False,
        userns: bool = False,
        aside: bool = False,
    ) -> None:
        self.mode, self.controllers, self.unified = mode, controllers or {}, unified
        self.v2_controllers = tuple(v2_controllers)
        self.systemd, self.userns, self.aside = systemd, userns, aside

    def __repr__(self) -> str:
        return (
            f"Layout({self.mode!r}, {self.controllers!r}, {self.unified!r}, "
            f"{self.v2_controllers!r}, systemd={self.systemd}, userns={self.userns}, "
            f"aside={self.aside})"
        )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Layout) and repr(self) == repr(other)

    __hash__ = None  # type: ignore[assignment]  # a value


def parse_own(proc_cgroup: str) -> dict[str, str]:
    """Our own group by controller, from /proc/PID/cgroup; "" is v2.

    Lines are "4:memory:/a", "3:cpu,cpuacct:/a", "1:name=systemd:/a", "0::/a".
    """
    found = {}
    for line in proc_cgroup.splitlines():
        _, controllers, path = line.split(":", 2)
        for controller in controllers.split(","):
            found[controller] = path
    return found


def layout_of(
    mounts: Iterable[CgroupMount],
    own: dict[str, str],
    *,
    v2_controllers: Iterable[str] = (),
    systemd: bool = False,
    userns: bool = False,
) -> Layout:
    """Put facts together.  mounts must be reachable, not covered by later ones."""
    controllers: dict[str, Hierarchy] = {}
    unified: Hierarchy | None = None
    # Of several mounts of one hierarchy take that below /sys/fs/cgroup.
    for mount in sorted(mounts, key=_elsewhere):
        if mount.fstype == "cgroup2":
            unified = unified or Hierarchy(mount.point, mount.root, own.get("", "/"))
            continue
        for controller in mount.options:
            if controller in own and controller not in controllers:
                controllers[controller] = Hierarchy(
                    mount.point, mount.root, own[controller], "noprefix" in mount.options
                )
    if unified is not None and (unified.mount == CGROUP_ROOT or not controllers):
        mode, controllers = "v2", {}
    elif controllers:
        mode = "v1" if unified is None else "hybrid"
    else:
        mode = "none"
    return Layout(mode, controllers, unified, v2_controllers, systemd, userns)


def detect(proc: str = "/proc/self") -> Layout:
    """The layout of this machine, as this process sees it now; "none" without /proc."""
    try:
        mounts = cgroup_mounts(proc)
        own = parse_own(_read(f"{proc}/cgroup"))
    except FileNotFoundError:  # no /proc, or a kernel without control groups
        return Layout()
    layout = layout_of(
        mounts,
        own,
        systemd=is_directory("/run/systemd/system"),
        userns=in_user_namespace(),
    )
    if layout.mode == "v2" and layout.unified is not None:
        listed = _read(f"{layout.unified.mount}/cgroup.controllers")
        layout.v2_controllers = tuple(listed.split())
    return layout


def _elsewhere(mount: CgroupMount) -> bool:
    return not (mount.point + "/").startswith(CGROUP_ROOT + "/")


def _read(path: str) -> str:
    fd = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    try:
        return fsdecode(rest(fd))
    finally:
        posix.close(fd)
