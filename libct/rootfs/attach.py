"""Putting a mount in its place: attributes, and the attachment by descriptors.

Mounts are made detached (fsmount(2), open_tree(2)), get their attributes, and
are then moved onto a descriptor of their place, which openat2(2) has resolved
inside the rootfs.  No step of it goes by a path that the image could change.
"""

from __future__ import annotations

import errno
import os

from ..config.mount_flags import (
    MOUNT_ATTR__ATIME,
    MOUNT_ATTR_NOATIME,
    MOUNT_ATTR_NODEV,
    MOUNT_ATTR_NODIRATIME,
    MOUNT_ATTR_NOEXEC,
    MOUNT_ATTR_NOSUID,
    MOUNT_ATTR_NOSYMFOLLOW,
    MOUNT_ATTR_RDONLY,
    MOUNT_ATTR_STRICTATIME,
    MS_BIND,
    MS_NOATIME,
    MS_NODEV,
    MS_NODIRATIME,
    MS_NOEXEC,
    MS_NOSUID,
    MS_NOSYMFOLLOW,
    MS_RDONLY,
    MS_REC,
    MS_RELATIME,
    MS_REMOUNT,
    MS_STRICTATIME,
)
from ..errors import StepProblem
from ..syscalls.mounts import (
    AT_EMPTY_PATH,
    AT_RECURSIVE,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    PROC_SUPER_MAGIC,
    fstatfs,
    mount,
    mount_setattr,
    move_mount,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

# mount(2)'s flags that belong to one mount, and their mount_setattr(2) names.
_ATTRIBUTES = (
    (MS_RDONLY, MOUNT_ATTR_RDONLY),
    (MS_NOSUID, MOUNT_ATTR_NOSUID),
    (MS_NODEV, MOUNT_ATTR_NODEV),
    (MS_NOEXEC, MOUNT_ATTR_NOEXEC),
    (MS_NODIRATIME, MOUNT_ATTR_NODIRATIME),
    (MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW),
)
_ATIME = MS_NOATIME | MS_STRICTATIME | MS_RELATIME


def attributes(flags: int, cleared: int = 0) -> tuple[int, int]:
    """(attr_set, attr_clr) of mount_setattr(2) for MS_* bits to set and to clear.

    Access time is a value and not a bit: whatever names it clears the field.
    """
    attr_set = attr_clr = 0
    for flag, attribute in _ATTRIBUTES:
        if flags & flag:
            attr_set |= attribute
        elif cleared & flag:
            attr_clr |= attribute
    if (flags | cleared) & _ATIME:
        attr_clr |= MOUNT_ATTR__ATIME
    if flags & MS_NOATIME:
        attr_set |= MOUNT_ATTR_NOATIME
    elif flags & MS_STRICTATIME:
        attr_set |= MOUNT_ATTR_STRICTATIME
    return attr_set, attr_clr


def attach(
    context: Context,
    tree: int,
    place: int,
    target: str,
    *,
    attr_set: int = 0,
    attr_clr: int = 0,
    on_proc: bool = False,
) -> None:
    """Give the detached mount tree its attributes and move it onto place.

    tree, place: descriptors, borrowed.  tree refers to the mount afterwards too.
    target: what the configuration calls the place, for messages.
    on_proc: the place may be on a proc file system (REFERENCE 2.5: only a few
        harmless files of it may; anything else could hide /proc from libct or
        from the security modules, CVE-2023-28642).
    """
    if not on_proc and fstatfs(place).type == PROC_SUPER_MAGIC:
        raise StepProblem(
            f"{target} leads into a proc file system",
            "only a few files of /proc may be mounted over: docs/compatibility.md",
        )
    late = not set_attributes(tree, attr_set, attr_clr)
    move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    if late:
        remount_attached(context, tree, attr_set, attr_clr)


def set_attributes(tree: int, attr_set: int, attr_clr: int, *, recursive: bool = False) -> bool:
    """Change a mount's attributes; False where the kernel is older than 5.12."""
    if not (attr_set or attr_clr):
        return True
    flags = AT_EMPTY_PATH | (AT_RECURSIVE if recursive else 0)
    try:
        mount_setattr("", dirfd=tree, flags=flags, attr_set=attr_set, attr_clr=attr_clr)
    except OSError as error:
        if error.errno != errno.ENOSYS or recursive:
            raise
        return False
    return True


def remount_attached(context: Context, tree: int, attr_set: int, attr_clr: int) -> None:
    """set_attributes for Linux 5.10 and 5.11: MS_REMOUNT of an attached mount.

    MS_REMOUNT replaces all flags, so what the mount has is read first.
    """
    present = fstatfs(tree).flags  # ST_*: the same bits as MS_* for these four
    flags = present & (MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NOATIME | MS_NODIRATIME)
    if attr_clr & MOUNT_ATTR__ATIME:
        flags &= ~_ATIME
        if attr_set & MOUNT_ATTR_NOATIME:
            flags |= MS_NOATIME
        elif attr_set & MOUNT_ATTR_STRICTATIME:
            flags |= MS_STRICTATIME
    for flag, attribute in _ATTRIBUTES:
        if attr_clr & attribute:
            flags &= ~flag
        if attr_set & attribute:
            flags |= flag
    mount("", mount_path(context, tree), "", MS_REMOUNT | MS_BIND | flags, "")


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
        mount("", mount_path(context, tree), "", propagation, "")


def mount_path(context: Context, fd: int) -> str:
    """A path of the object fd for mount(2), which takes no descriptors.

    Relative to the host's /proc, held since before pivot_root: the working
    directory is moved there, for nothing of the container's is to be walked.
    """
    os.fchdir(context.fds["proc"])
    return f"self/fd/{fd}"
