"""Putting a mount in its place: attributes, and the attachment by descriptors.

Mounts are made detached (fsmount(2), open_tree(2)), get their attributes, and
are then moved onto a descriptor of their place, which openat2(2) has resolved
inside the rootfs.  No step of it goes by a path that the image could change.
"""

from __future__ import annotations

import errno
import posix

from ..attributes.procfs import is_whole_proc
from ..config.mount_flags import (
    ATTRIBUTES,
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_NOATIME,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_STRICTATIME,
)
from ..errors import StepProblem
from ..syscalls.constants import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    PROC_SUPER_MAGIC,
    ST_NOATIME,
    ST_NODEV,
    ST_NODIRATIME,
    ST_NOEXEC,
    ST_NOSUID,
    ST_RDONLY,
    ST_RELATIME,
)
from ..syscalls.filesystems import fstatfs
from ..syscalls.mounts import mount, mount_setattr, move_mount
from .flags import ATIME
from .held import hold
from .paths import same_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from ..bootstrap.context import Context

# Of statfs(2), what that is an attribute of, and the option for it.
_LOCKED = (
    (ST_RDONLY, MOUNT_ATTR_RDONLY, "ro"),
    (ST_NOSUID, MOUNT_ATTR_NOSUID, "nosuid"),
    (ST_NODEV, MOUNT_ATTR_NODEV, "nodev"),
    (ST_NOEXEC, MOUNT_ATTR_NOEXEC, "noexec"),
    (ST_NOATIME, ATIME, "noatime"),
    (ST_RELATIME, ATIME, "relatime"),
    (ST_NODIRATIME, ATIME, "nodiratime"),
)

# The only files of /proc that may be mounted over, as with runc; lxcfs serves them.
PROC_FILES = (
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
)


def attach(
    context: Context,
    tree: int,
    place: int,
    target: str,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    asked: int = 0,
) -> None:
    """Give the detached mount tree its attributes and move it onto place.

    tree, place: descriptors, borrowed.  tree refers to the mount afterwards too.
    target: what the configuration calls the place.
    asked: as of change_attributes().
    """
    check_place(context, place, target, tree)
    late = not change_attributes(context, tree, target, attr_set, attr_clr, asked)
    move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    if late:
        change_attached(context, tree, target, attr_set, attr_clr, asked)
    hold(context, target, tree)


def change_attributes(
    context: Context, tree: int, target: str, attr_set: int, attr_clr: int, asked: int
) -> bool:
    """set_attributes(), but what a user namespace has locked stays (mount_namespaces(7)).

    asked: those of which that is worth a warning.
    """

    def change(attr_set: int, attr_clr: int) -> bool:
        return set_attributes(tree, attr_set, attr_clr)

    return _change_unlocked(context, tree, target, attr_set, attr_clr, asked, change)


def change_attached(
    context: Context, tree: int, target: str, attr_set: int, attr_clr: int, asked: int
) -> None:
    """The same where the kernel has no mount_setattr(2), of an attached mount."""

    def change(attr_set: int, attr_clr: int) -> bool:
        remount_attached(context, tree, attr_set, attr_clr)
        return True

    _change_unlocked(context, tree, target, attr_set, attr_clr, asked, change)


def _change_unlocked(
    context: Context,
    tree: int,
    target: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    change: Callable[[int, int], bool],
) -> bool:
    try:
        return change(attr_set, attr_clr)
    except PermissionError:
        pass
    # Which of them is locked the kernel does not say.
    change(attr_set & ~ATIME, 0)
    kept = 0
    single = [attribute for _, _, _, attribute, _ in ATTRIBUTES if attribute & attr_clr & ~ATIME]
    for some in (*single, ATIME):
        try:
            change(attr_set & some & ATIME, attr_clr & some)
        except PermissionError:
            kept |= some
    names = _names(fstatfs(tree).flags, kept & asked)
    if names:
        context.warn(f"{target} stays {', '.join(names)}, which a user namespace has locked")
    return True


def _names(shown: int, attributes: int) -> list[str]:
    """The options that a mount with these flags of statfs(2) has of some attributes."""
    found = [name for flag, one, name in _LOCKED if attributes & one and shown & flag]
    if attributes & ATIME and not shown & (ST_NOATIME | ST_RELATIME):
        found.append("strictatime")
    return found


def check_place(context: Context, place: int, target: str, tree: int = -1) -> None:
    """Refuse to mount what could hide the rootfs or a proc file system.

    tree: what is to be mounted, where that can be told.

    On /proc belongs a proc file system, and below it only PROC_FILES may be
    covered: anything else could deceive who relies on /proc, as the security
    modules do (CVE-2019-16884, CVE-2023-28642).
    """
    if same_file(place, context.fds["root"]):
        raise StepProblem(f"{target} leads to the root itself")
    if target == "/proc":
        if tree < 0 or not is_whole_proc(tree):
            raise StepProblem(
                '"/proc" cannot be mounted because it is not of type proc',
                "only a whole proc file system can be mounted on /proc",
            )
        return
    below = target.startswith("/proc/") or fstatfs(place).type == PROC_SUPER_MAGIC
    if below and target not in PROC_FILES:
        inside = f'"{target}" cannot be mounted because it is inside /proc'
        raise StepProblem(
            inside if target.startswith("/proc/") else f"{target} is in a proc file system",
            "of it only files like /proc/cpuinfo and /proc/meminfo may be mounted over",
        )


def set_attributes(tree: int, attr_set: int, attr_clr: int, *, recursive: bool = False) -> bool:
    """Change a mount's attributes; False where the kernel is older than 5.12."""
    attr_clr = _with_access_time(attr_set, attr_clr)
    if not (attr_set or attr_clr):
        return True
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    try:
        mount_setattr("", dirfd=tree, flags=flags, attr_set=attr_set, attr_clr=attr_clr)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        return False
    return True


def remount_attached(context: Context, tree: int, attr_set: int, attr_clr: int) -> None:
    """set_attributes for Linux 5.10 and 5.11: MS_REMOUNT of an attached mount.

    MS_REMOUNT replaces all flags, so what the mount has is read first.
    """
    present = fstatfs(tree).flags
    attr_clr = _with_access_time(attr_set, attr_clr)
    flags = 0
    for _, _, flag, attribute, shown in ATTRIBUTES:
        if attr_set & attribute or (present & shown and not attr_clr & attribute):
            flags |= flag
    if attr_clr & MOUNT_ATTR__ATIME:
        noatime, strict = attr_set & MOUNT_ATTR_NOATIME, attr_set & MOUNT_ATTR_STRICTATIME
    else:
        noatime, strict = present & ST_NOATIME, not present & (ST_NOATIME | ST_RELATIME)
    flags |= MS_NOATIME if noatime else MS_STRICTATIME if strict else MS_RELATIME
    mount_on(context, tree, MS_REMOUNT | MS_BIND | flags)


def _with_access_time(attr_set: int, attr_clr: int) -> int:
    """attr_clr, with all of the access time where another one is set: it is a value and no bit."""
    return attr_clr | MOUNT_ATTR__ATIME if attr_set & MOUNT_ATTR__ATIME else attr_clr


def set_propagation(context: Context, tree: int, propagation: int) -> None:
    """Set the propagation (one of MS_SHARED..., with or without MS_REC) of a mount."""
    kind, flags = propagation & ~MS_REC, AT_EMPTY_PATH
    if propagation & MS_REC:
        flags |= AT_RECURSIVE
    try:
        mount_setattr("", dirfd=tree, flags=flags, propagation=kind)
    except OSError as error:
        if error.errno != errno.ENOSYS:
            raise
        mount_on(context, tree, propagation)


def finish(
    context: Context, tree: int, rec_set: int, rec_clr: int, propagation: tuple[int, ...]
) -> None:
    """Attributes for all mounts below (rro and the like), then the propagation."""
    if not set_attributes(tree, rec_set, rec_clr, recursive=True):
        raise StepProblem("attributes of a whole tree of mounts (rro, ...) need Linux 5.12")
    for kind in propagation:
        set_propagation(context, tree, kind)


def mount_on(
    context: Context, place: int, flags: int, fstype: str = "", source: str = "", data: str = ""
) -> None:
    """mount(2), which takes no descriptors, on the object that place is one of.

    By the host's /proc, held since before the change of root: the working
    directory is moved there, for nothing of the container's is to be walked.
    """
    posix.fchdir(context.fds["proc"])
    try:
        mount(source, f"self/fd/{place}", fstype, flags, data)
    finally:
        posix.fchdir(context.fds["root"])


def path_of(context: Context, fd: int) -> str:
    """Where the object fd is, as seen from this process's root."""
    return posix.readlink(f"self/fd/{fd}", dir_fd=context.fds["proc"])
