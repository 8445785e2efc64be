"""What validation must look up about the host, so that the rest of it can be pure."""

from __future__ import annotations

import posix

from ..loading.paths import exists, is_directory, real, split
from .namespace import PROC_NAMES, IDMap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    Maps = tuple[list[IDMap], list[IDMap]]

    class Facts(Protocol):
        """The questions; a test answers them without a host."""

        @property
        def apparmor(self) -> bool:
            """Whether AppArmor is on."""

        @property
        def selinux(self) -> bool:
            """Whether SELinux is on."""

        @property
        def cgroup_v2(self) -> bool:
            """Whether limits are those of cgroup v2."""

        @property
        def rdt(self) -> frozenset[str] | None:
            """What resctrl controls ("L3", "MB", ...), or None when it is not mounted."""

        def supports(self, namespace: str) -> bool:
            """Whether the kernel has namespaces of a type (NEWNS, ...)."""

        def rootfs_problem(self, path: str) -> str:
            """Why an absolute path cannot be the rootfs, or ""."""

        def is_own_namespace(self, path: str, namespace: str) -> bool:
            """Whether path leads to the namespace of that type that we are in."""

        def user_namespace_maps(self, path: str) -> Maps | None:
            """The uid and gid mappings of the user namespace at path, if they can be told."""


_supported: set[str] = set()  # the types of namespaces that this kernel is known to have


class HostFacts:
    """The answers of this host, looked up when asked for."""

    __slots__ = ()

    @property
    def apparmor(self) -> bool:
        return _text("/sys/module/apparmor/parameters/enabled").startswith("Y")

    @property
    def selinux(self) -> bool:
        # The kernel has its file system only where it is on.
        return "\tselinuxfs\n" in _text("/proc/filesystems")

    @property
    def cgroup_v2(self) -> bool:
        return exists("/sys/fs/cgroup/cgroup.procs") or exists("/sys/fs/cgroup/cgroup.controllers")

    @property
    def rdt(self) -> frozenset[str] | None:
        point = mount_point_of("resctrl")
        if point is None:
            return None
        try:
            return frozenset(posix.listdir(f"{point}/info"))
        except OSError:
            return frozenset()

    def supports(self, namespace: str) -> bool:
        if namespace not in _supported:
            path = f"/proc/self/ns/{PROC_NAMES[namespace]}"
            if not posix.access(path, posix.F_OK):
                # Without /proc nothing can be told, and the kernel says it then.
                return not posix.access("/proc/self/ns", posix.F_OK)
            _supported.add(namespace)
        return True

    def rootfs_problem(self, path: str) -> str:
        if not is_directory(path):
            try:
                posix.lstat(path)
            except OSError:
                return f"missing: {path!r}"
            return f"not a directory: {path!r}"
        found = real(path)
        return "" if found == path else f"a symbolic link leads from {path!r} to {found!r}"

    def is_own_namespace(self, path: str, namespace: str) -> bool:
        try:
            ours, given = posix.stat(f"/proc/self/ns/{PROC_NAMES[namespace]}"), posix.stat(path)
            return (ours.st_dev, ours.st_ino) == (given.st_dev, given.st_ino)
        except OSError:
            return False

    def user_namespace_maps(self, path: str) -> Maps | None:
        process, name = split(path)
        try:
            if name == "user" and path.startswith("/proc/") and process.endswith("/ns"):
                member = process[:-3]
            else:
                member = _member(path)
            return _read_map(f"{member}/uid_map"), _read_map(f"{member}/gid_map")
        except (OSError, ValueError):
            return None


def facts_of_host() -> HostFacts:
    return HostFacts()


def _text(path: str) -> str:
    """What a file of the kernel's says; "" where it is not there."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read()
    except OSError:
        return ""


def mount_point_of(fstype: str) -> str | None:
    """The first mount of a type of filesystem (proc_pid_mountinfo(5)); spaces stay escaped."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            for line in file:
                before, _, after = line.partition(" - ")
                if after.startswith(f"{fstype} "):
                    return before.split()[4]
    except OSError:
        pass  # no procfs: not mounted, as far as we can know
    return None


def _member(path: str) -> str:
    """The directory of a process in the user namespace that path leads to.

    Without one FileNotFoundError: only the kernel knows the maps then.
    """
    from ..syscalls import procfs

    wanted = posix.stat(path)
    for number in procfs.numbers():
        try:
            found = posix.stat(procfs.path(number, "ns/user"))
        except OSError:
            continue  # it has ended, or is not ours to look at
        if (found.st_dev, found.st_ino) == (wanted.st_dev, wanted.st_ino):
            return procfs.path(number, "")[:-1]
    raise FileNotFoundError


def _read_map(path: str) -> list[IDMap]:
    with open(path, encoding="ascii") as file:
        return [IDMap(*map(int, line.split())) for line in file]
