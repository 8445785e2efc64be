"""Masked and read-only paths (config-linux.md, Masked Paths, Readonly Paths)."""

from __future__ import annotations

import _stat as stat
import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY, MS_RDONLY
from ..errors import StepProblem
from ..syscalls.constants import MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH
from ..syscalls.mounts import move_mount
from .attach import remount_attached, set_attributes
from .binds import clone_tree
from .filesystems import make_filesystem
from .held import find_below, held
from .paths import same_file

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options

_ONTO = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH


def make_read_only(context: Context, path: str, base: str) -> None:
    """Bind path on itself, read-only; a path that is not there needs no protection.

    base: the mount that it lies on, or ""; see find_below().
    """
    place = find_below(context, path, base)
    if place < 0:
        return
    try:
        if _is_root(context, place):
            # What covers the root itself is never seen.
            raise StepProblem(f"{path} is the root itself", "set root.readonly for that")
        tree = clone_tree("", recursive=True, dirfd=place)
        try:
            late = not set_attributes(tree, MOUNT_ATTR_RDONLY, 0)
            move_mount(tree, "", place, "", _ONTO)
            if late:
                remount_attached(context, tree, MOUNT_ATTR_RDONLY, 0)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)


def mask(context: Context, path: str, base: str, options: Options = ()) -> None:
    """Cover a directory with an empty read-only tmpfs, anything else with /dev/null.

    All directories share one tmpfs.  /dev/null is the container's, taken by
    descriptor and checked to be device 1:3 (CVE-2025-31133).  base: as above.
    options: of the tmpfs.
    """
    place = find_below(context, path, base)
    if place < 0:
        return
    try:
        if _is_root(context, place):
            raise StepProblem(f"{path} is the root itself")
        if not stat.S_ISDIR(posix.fstat(place).st_mode):
            tree = clone_tree("", recursive=False, dirfd=_null(context))
        elif "mask" in context.fds:
            tree = clone_tree("", recursive=False, dirfd=context.fds["mask"])
        else:
            tree = empty_tmpfs(options)
            context.keep("mask", posix.dup(tree))
        try:
            move_mount(tree, "", place, "", _ONTO)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)


def _is_root(context: Context, place: int) -> bool:
    return same_file(place, context.fds["root"])


def _null(context: Context) -> int:
    """The container's /dev/null, verified, open for all the masks."""
    if "null" not in context.fds:
        base = "/dev" if held(context, "/dev") >= 0 else ""
        null = find_below(context, "/dev/null", base, posix.O_PATH | posix.O_NOFOLLOW)
        if null < 0:
            raise StepProblem("the container has no /dev/null to mask files with")
        context.keep("null", null)
        found = posix.fstat(null)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != posix.makedev(1, 3):
            raise StepProblem("/dev/null in the container is not the null device")
    return context.fds["null"]


def empty_tmpfs(options: Options = ()) -> int:
    """A detached tmpfs with room for nothing but its root directory, and read-only.

    Some kernels (Ubuntu's 5.4) count one inode more, so a second is allowed.
    """
    room = (("nr_blocks", "1"), ("nr_inodes", "2"))
    return make_filesystem("tmpfs", "tmpfs", room + options, MS_RDONLY, MOUNT_ATTR_RDONLY)
