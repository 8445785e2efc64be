"""The root of the file system: propagation, the rootfs as a mount, and the change of root.

Which of the three ways into the rootfs a container takes, says plan/root.py.
"""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY, MS_PRIVATE, MS_REC, MS_SLAVE
from ..errors import StepProblem
from ..syscalls.constants import (
    AT_FDCWD,
    MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
)
from ..syscalls.files import RESOLVE_NO_SYMLINKS, openat2
from ..syscalls.mounts import mount, move_mount, pivot_root, umount2
from .attach import remount_attached, set_attributes
from .binds import clone_tree
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def propagate(context: Context, path: str, propagation: int) -> None:
    try:
        mount("", path, "", propagation, "")
    except OSError as error:
        if error.errno != errno.EINVAL or path != "/":
            raise
        _leave_chroot(propagation)


def _leave_chroot(propagation: int) -> None:
    """Make our root a mount, which that of a chroot(2) is not, with its mounts as wanted.

    pivot_root(2) wants one, too.  What / lies on may be shared with the host, and then a mount
    on / would be made there: so the copy is attached to /proc, which is a mount that can be
    made private.
    """
    tree = clone_tree("/", recursive=True)
    try:
        try:
            mount("", "/proc", "", MS_PRIVATE, "")
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            message = "the root directory is no mount point (as after chroot), and nor is /proc"
            hint = "mount a proc file system there: mount -t proc proc /proc"
            raise StepProblem(message, hint) from None
        move_mount(tree, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH)
        posix.fchdir(tree)
        mount("", ".", "", propagation, "")
        posix.chroot(".")
    finally:
        posix.close(tree)


def bind_root(context: Context, path: str) -> None:
    """Hold the rootfs, now a mount of its own, under "root".

    pivot_root(2) wants a mount point.  The descriptor is of the new mount, so
    all that follows lands in it.  The path is resolved once, and has no link in
    it that somebody could exchange (CVE-2019-18837).
    """
    place = openat2(path, posix.O_PATH | posix.O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)
    try:
        tree = clone_tree("", recursive=True, dirfd=place)
        context.keep("root", tree)
        move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    finally:
        posix.close(place)


def pivot(context: Context) -> None:
    """pivot_root(".", "."): the old root ends up on top of the new, and is detached.

    It becomes a slave first, so that the detaching does not reach the host.  What
    "." is after pivot_root is for the kernel to choose: the old root is entered
    by a descriptor, lest those of the container's mounts that are shared become
    slaves.

    Source: pivot_root(2), NOTES.
    """
    old = posix.open("/", posix.O_PATH | posix.O_DIRECTORY | posix.O_CLOEXEC)
    try:
        posix.fchdir(context.fds["root"])
        pivot_root(".", ".")
        posix.fchdir(old)
    finally:
        posix.close(old)
    mount("", ".", "", MS_SLAVE | MS_REC, "")
    umount2(".", MNT_DETACH)
    _detach_rest()
    posix.chdir("/")


def _detach_rest() -> None:
    """What has gone lay over the old root, if anything did: until "." is not mounted any more.

    Left on top of the new one, it would be the root of whoever enters the mount namespace.
    """
    while True:
        try:
            umount2(".", MNT_DETACH)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            return


def make_root_read_only(context: Context) -> None:
    """The root's own mount, not those on it."""
    root = context.fds["root"]
    if not set_attributes(root, MOUNT_ATTR_RDONLY, 0):
        remount_attached(context, root, MOUNT_ATTR_RDONLY, 0)


def make_directory(context: Context, path: str) -> None:
    """A missing working directory is made, as root and before the root turns read-only."""
    posix.close(make_in_root(context.fds["root"], path, directory=True))
