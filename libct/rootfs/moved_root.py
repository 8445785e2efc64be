"""Rarer ways with a root: where its parent mount is shared, and where it cannot be pivoted."""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import MS_PRIVATE, MS_REC, MS_SLAVE
from ..syscalls.constants import AT_FDCWD, MNT_DETACH, MOVE_MOUNT_F_EMPTY_PATH
from ..syscalls.mounts import mount, move_mount, umount2
from .attach import path_of
from .mountinfo import mount_points

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def unshare_parent(context: Context, rootfs: str) -> None:
    """The mount that holds the rootfs; the other mounts keep what the configuration says."""
    _change_mount_of(rootfs, MS_PRIVATE)


def _above(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def _change_mount_of(path: str, propagation: int) -> None:
    """Set the propagation of the mount that path lies on."""
    while True:
        try:
            mount("", path, "", propagation, "")
            return
        except OSError as error:
            if error.errno != errno.EINVAL or path == "/":
                raise
            path = _above(path)  # not a mount point


def move_root(context: Context) -> None:
    """For a root that cannot be pivoted (an initramfs).

    chroot(2) alone leaves the host's mounts below the moved one; full proc and
    sysfs mounts among them would let a container mount its own unmasked, so
    they go first.
    """
    for point in _full_mounts(context, path_of(context, context.fds["root"])):
        _hide(point)
    # Should it be shared, the rootfs would be moved onto the host's as well.
    mount("", "/", "", MS_SLAVE, "")
    posix.fchdir(context.fds["root"])
    move_mount(context.fds["root"], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)
    posix.chroot(".")
    posix.chdir("/")


def _full_mounts(context: Context, rootfs: str) -> list[str]:
    """Mount points of whole proc and sysfs file systems, outside of the rootfs; deepest first."""
    found = [
        at.point
        for at in mount_points(context)
        if at.root == "/" and at.fstype in ("proc", "sysfs") and not at.is_below(rootfs)
    ]
    return sorted(found, key=len, reverse=True)


def _hide(point: str) -> None:
    try:
        # Where the parent of a mount is shared, the host's would go as well.
        _change_mount_of(_above(point), MS_SLAVE)
        mount("", point, "", MS_SLAVE | MS_REC, "")
        umount2(point, MNT_DETACH)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return  # gone with one above
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        # Locked by a user namespace, or covered by another one: cover it once more.
        mount("tmpfs", point, "tmpfs", 0, "size=4k")
