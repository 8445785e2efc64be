"""Device nodes and the links of /dev (config-linux.md, Default Devices; runc's set)."""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from .attach import attach
from .binds import clone_tree
from .paths import make_in_root, parent_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def make_device(
    context: Context, path: str, mode: int, major: int, minor: int, uid: int, gid: int
) -> None:
    """mode holds type and permissions, as st_mode does; what is in the way is replaced.

    But for a mount of the configuration: it is left as it is.
    """
    parent, name = parent_in_root(context, path)
    number = posix.makedev(major, minor)
    try:
        _make_node(parent, name, mode, number, uid, gid)
    except PermissionError:
        # Some parent of ours forbids mknod; the host's node does as well.
        _bind_host_device(context, path, stat.S_IFMT(mode), number)


def _make_node(parent: int, name: str, mode: int, number: int, uid: int, gid: int) -> None:
    try:
        posix.mknod(name, mode, number, dir_fd=parent)
    except FileExistsError:
        found = posix.stat(name, dir_fd=parent, follow_symlinks=False)
        if (found.st_mode, found.st_rdev, found.st_uid, found.st_gid) == (mode, number, uid, gid):
            return
        # Not changed in place: it may be a node of the host that is mounted there.
        if not _unlink(parent, name):
            return
        posix.mknod(name, mode, number, dir_fd=parent)
    if uid or gid:
        posix.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def _unlink(parent: int, name: str) -> bool:
    """False for a mount point, which is left as it is."""
    try:
        posix.unlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def bind_device(context: Context, path: str, kind: int, major: int, minor: int) -> None:
    """kind: S_IFCHR or S_IFBLK.  Mode and owner are those that the host's node has."""
    _bind_host_device(context, path, kind, posix.makedev(major, minor))


def _bind_host_device(context: Context, path: str, kind: int, number: int) -> None:
    tree = clone_tree(path, recursive=False)
    try:
        found = posix.fstat(tree)
        if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
            device = f"{posix.major(number)}:{posix.minor(number)}"
            raise StepProblem(
                f"{path} of the host is not the device {device}",
                "where device nodes cannot be made, the host's of the same name are taken",
            )
        place = make_in_root(context.fds["root"], path, directory=False)
        try:
            attach(context, tree, place, path)
        finally:
            posix.close(place)
    finally:
        posix.close(tree)


def make_link(context: Context, path: str, target: str) -> None:
    """A link of /dev; one that is there already is left as it is, but /dev/ptmx is ours.

    /dev/core is made where the kernel has a /proc/kcore.
    """
    if path == "/dev/core" and not _has_kcore(context):
        return
    parent, name = parent_in_root(context, path)
    try:
        posix.symlink(target, name, dir_fd=parent)
    except FileExistsError:
        if path == "/dev/ptmx" and _unlink(parent, name):
            posix.symlink(target, name, dir_fd=parent)


def _has_kcore(context: Context) -> bool:
    try:
        posix.stat("kcore", dir_fd=context.fds["proc"])
    except FileNotFoundError:
        return False
    return True
