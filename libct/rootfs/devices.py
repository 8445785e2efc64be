"""Device nodes and the links of /dev (config-linux.md, Default Devices; runc's set)."""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from .attach import attach
from .binds import clone_tree
from .held import OtherMount, open_made, parent_below
from .paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_NODES = (stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO)


def make_device(
    context: Context, path: str, mode: int, major: int, minor: int, uid: int, gid: int, base: str
) -> None:
    """mode holds type and permissions, as st_mode does; another node in the way is replaced.

    But for a mount of the configuration, and for what is no node: these are left as they are.
    base: the mount that path lies on, or "" for the rootfs; see parent_below().
    """
    number = posix.makedev(major, minor)
    try:
        parent, name = parent_below(context, path, base)
    except OtherMount:
        if _is_there(context, path, stat.S_IFMT(mode), number):
            return
        raise
    try:
        made = _make_node(context, path, parent, name, mode, number, uid, gid)
    except PermissionError:
        # Some parent of ours forbids mknod; the host's node does as well.
        _bind_host_device(context, path, stat.S_IFMT(mode), number, base)
        return
    if made and (uid or gid):
        _give(context, parent, name, stat.S_IFMT(mode), number, uid, gid)


def _is_there(context: Context, path: str, kind: int, number: int) -> bool:
    """Whether path, on whatever mount, is the device itself, by no link."""
    try:
        flags = posix.O_PATH | posix.O_NOFOLLOW
        fd = open_in_root(context.fds["root"], path, flags, symlinks=False)
    except OSError:
        return False
    try:
        found = posix.fstat(fd)
    finally:
        posix.close(fd)
    return (stat.S_IFMT(found.st_mode), found.st_rdev) == (kind, number)


def _make_node(
    context: Context, path: str, parent: int, name: str, mode: int, number: int, uid: int, gid: int
) -> bool:
    """False where what is there stays."""
    try:
        posix.mknod(name, mode, number, dir_fd=parent)
        return True
    except FileExistsError:
        found = posix.stat(name, dir_fd=parent, follow_symlinks=False)
    if (found.st_mode, found.st_rdev, found.st_uid, found.st_gid) == (mode, number, uid, gid):
        return False
    if stat.S_IFMT(found.st_mode) not in _NODES:
        place = open_made(parent, name)
        if place >= 0:
            posix.close(place)
            _leave(context, path)
        return False
    # Not changed in place: it may be a node of the host that is mounted there.
    if not _unlink(parent, name):
        return False
    posix.mknod(name, mode, number, dir_fd=parent)
    return True


def _leave(context: Context, path: str) -> None:
    """A file may hold somebody's data, and a link lead anywhere: neither is ours to remove."""
    context.warn(f"{path} is there already and is not a device: it is left as it is")


def _give(
    context: Context, parent: int, name: str, kind: int, number: int, uid: int, gid: int
) -> None:
    """The owner of what was made, and of nothing that has taken its name meanwhile."""
    made = open_made(parent, name)
    if made < 0:
        raise StepProblem(f"{name} was covered while it was made")
    try:
        found = posix.fstat(made)
        if (stat.S_IFMT(found.st_mode), found.st_rdev) != (kind, number):
            raise StepProblem(f"{name} was exchanged while it was made")
        posix.chown(f"self/fd/{made}", uid, gid, dir_fd=context.fds["proc"])
    finally:
        posix.close(made)


def _unlink(parent: int, name: str) -> bool:
    """False for a mount point, which is left as it is."""
    try:
        posix.unlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


def bind_device(context: Context, path: str, kind: int, major: int, minor: int, base: str) -> None:
    """kind: S_IFCHR or S_IFBLK.  Mode and owner are those that the host's node has."""
    _bind_host_device(context, path, kind, posix.makedev(major, minor), base)


def _bind_host_device(context: Context, path: str, kind: int, number: int, base: str) -> None:
    tree = clone_tree(path, recursive=False)
    try:
        found = posix.fstat(tree)
        if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
            device = f"{posix.major(number)}:{posix.minor(number)}"
            raise StepProblem(
                f"{path} of the host is not the device {device}",
                "where device nodes cannot be made, the host's of the same name are taken",
            )
        try:
            parent, name = parent_below(context, path, base)
        except OtherMount:
            if _is_there(context, path, kind, number):
                return
            raise
        place = _make_place(context, path, parent, name)
        if place >= 0:
            try:
                attach(context, tree, place, path)
            finally:
                posix.close(place)
    finally:
        posix.close(tree)


def _make_place(context: Context, path: str, parent: int, name: str) -> int:
    """A file to mount a device on; -1 for what is left as it is: a mount, a link, a directory."""
    flags = posix.O_WRONLY | posix.O_CREAT | posix.O_EXCL | posix.O_NOFOLLOW | posix.O_CLOEXEC
    try:
        posix.close(posix.open(name, flags, 0o644, dir_fd=parent))
    except FileExistsError:
        pass
    place = open_made(parent, name)
    if place >= 0 and stat.S_IFMT(posix.fstat(place).st_mode) in (stat.S_IFLNK, stat.S_IFDIR):
        posix.close(place)
        _leave(context, path)
        return -1
    return place


def make_link(context: Context, path: str, target: str, base: str) -> None:
    """A link of /dev; one that is there already is left as it is, but /dev/ptmx is ours.

    /dev/core is made where the kernel has a /proc/kcore.
    """
    if path == "/dev/core" and not _has_kcore(context):
        return
    try:
        parent, name = parent_below(context, path, base)
    except OtherMount:
        return  # whoever has mounted that has said what is in it
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
