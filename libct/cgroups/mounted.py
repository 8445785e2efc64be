"""The mounts of cgroup file systems: parsed, and read again only when mounts have changed.

A program that starts many containers would read /proc/self/mountinfo for each.  The kernel
tells who has it open that it has changed (poll(2), POLLPRI).

Source: proc_pid_mountinfo(5).
"""

from __future__ import annotations

import _thread
import posix
import select

from ..loading.paths import fsdecode, rest
from ..rootfs.mountinfo import unescape
from ..syscalls import pidfds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class CgroupMount:
    """One line of mountinfo that is about control groups.

    device: st_dev of its files.  root: the group that the mount shows at point.
    options: those of the hierarchy, which name the v1 controllers.
    """

    __slots__ = ("device", "fstype", "options", "point", "root")

    def __init__(self, device: int, root: str, point: str, fstype: str, options: str) -> None:
        self.device, self.root, self.point = device, root, point
        self.fstype, self.options = fstype, options.split(",")


_OWN = "/proc/self"
_lock = _thread.allocate_lock()
_known: tuple[tuple[Any, ...], int, list[CgroupMount]] | None = None  # whose, descriptor, mounts


def cgroup_mounts(proc: str) -> list[CgroupMount]:
    """Those that can be reached at their mount points.  FileNotFoundError without /proc."""
    global _known
    # (The lock is held by another thread, or by one that a fork has not copied.)
    if proc != _OWN or not _lock.acquire(False):
        fd = _open(proc)
        try:
            return _read(fd)
        finally:
            posix.close(fd)
    try:
        whose = _whose()
        if _known is not None:
            of, fd, found = _known
            same = pidfds.identity(fd) == of[0]
            if same and of[1:] == whose and not _has_changed(fd):
                return found
            _known = None
            if same:
                posix.close(fd)
        fd = _open(proc)
        try:
            _has_changed(fd)  # from now on
            found = _read(fd)
            _known = (pidfds.identity(fd), *whose), fd, found
        except BaseException:
            posix.close(fd)
            raise
        return found
    finally:
        _lock.release()


def _whose() -> tuple[Any, ...]:
    """Whose view of the mounts it is: a fork shares the descriptor, and what it has been told."""
    root, mounts = posix.stat("/"), posix.stat(f"{_OWN}/ns/mnt")
    return posix.getpid(), root.st_dev, root.st_ino, mounts.st_dev, mounts.st_ino


def _open(proc: str) -> int:
    return posix.open(f"{proc}/mountinfo", posix.O_RDONLY | posix.O_CLOEXEC)


def _has_changed(fd: int) -> bool:
    poll = select.poll()
    poll.register(fd, select.POLLPRI)
    return bool(poll.poll(0))


def _read(fd: int) -> list[CgroupMount]:
    # (open() costs four times more.)
    found = parse_mounts(fsdecode(rest(fd)))
    return [mount for mount in found if _reachable(mount)]


def parse_mounts(mountinfo: str) -> list[CgroupMount]:
    """The mounts of cgroup file systems, in the file's order."""
    found = []
    for line in mountinfo.split("\n"):
        if " - cgroup" not in line:
            continue
        before, _, after = line.partition(" - ")
        device, root, point = before.split(" ", 5)[2:5]
        fstype, _, options = after.split(" ", 2)
        if fstype not in ("cgroup", "cgroup2"):
            continue
        major, _, minor = device.partition(":")
        made = posix.makedev(int(major), int(minor))
        found.append(CgroupMount(made, unescape(root), unescape(point), fstype, options))
    return found


def _reachable(mount: CgroupMount) -> bool:
    """Whether the mount point leads to the mount, and not to one that covers it."""
    try:
        return posix.stat(mount.point).st_dev == mount.device
    except OSError:
        return False
