"""The root of the file system: propagation, the rootfs as a mount, and the change of root.

Three ways lead into the rootfs: pivot_root(2), which every container with a
mount namespace takes; a mount moved onto / with chroot(2), for an initramfs,
whose root cannot be pivoted (noPivot); and chroot(2) alone for a container
that shares the host's mount namespace.
"""

from __future__ import annotations

import errno
import os

from ..config.mount_flags import (
    MOUNT_ATTR_RDONLY,
    MS_PRIVATE,
    MS_REC,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)
from ..config.namespace import NEWNS
from ..errors import StepProblem
from ..plan.step import Step, operation
from ..syscalls.files import RESOLVE_NO_SYMLINKS, openat2
from ..syscalls.flags import MOUNT_NAMES, names
from ..syscalls.mounts import (
    AT_FDCWD,
    MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH,
    MOVE_MOUNT_T_EMPTY_PATH,
    mount,
    move_mount,
    pivot_root,
    umount2,
)
from .attach import is_whole_proc, path_of, remount_attached, set_attributes
from .binds import clone_tree
from .mountinfo import mount_points
from .paths import make_in_root
from .view import view_steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config


def prepare_steps(config: Config) -> list[Step]:
    """From the host's file systems, as the new namespace inherits them, to a rootfs of its own."""
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return [open_root(config.rootfs, why="root.path")]
    # First of all: no mount made from here on may reach the host.
    first = _first_propagation(config.root_propagation)
    steps = [propagate("/", first, why="linux.rootfsPropagation")]
    # pivot_root and move_mount refuse a shared parent, and what is mounted on one
    # would be mounted on the host, too.
    if first & MS_SHARED:
        place = "/" if config.rootfs_view else config.rootfs
        steps.append(unshare_parent(place, why="root.path"))
    if config.rootfs_view:
        return steps + view_steps(config)
    return [*steps, bind_root(config.rootfs, why="root.path")]


def _first_propagation(wanted: int) -> int:
    """What all mounts become at the start; the root itself becomes what is wanted at the end.

    Slaves of the host's mounts, unless those of the container are to be shared
    with it.  An unbindable rootfs could not be bound.
    """
    if wanted & MS_SHARED:
        return wanted
    if wanted & MS_REC and wanted & (MS_PRIVATE | MS_UNBINDABLE):
        return MS_PRIVATE | MS_REC
    return MS_SLAVE | MS_REC


def enter_steps(config: Config) -> list[Step]:
    """Into the rootfs, and no way back."""
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return [change_root()]
    steps = [move_root() if config.no_pivot_root else pivot()]
    propagation = config.root_propagation
    if propagation & (MS_SHARED | MS_PRIVATE | MS_UNBINDABLE):
        steps.append(propagate("/", propagation, why="linux.rootfsPropagation"))
    return steps


@operation("open the rootfs {0}")
def open_root(context: Context, path: str) -> None:
    """Hold the rootfs under "root", where no mount namespace is there to mount it in."""
    context.keep("root", os.open(path, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC))


@open_root.calls
def _(path: str) -> list[str]:
    return [f'openat("{path}", O_PATH|O_DIRECTORY|O_CLOEXEC)']


@operation("set the propagation of {0}")
def propagate(context: Context, path: str, propagation: int) -> None:
    mount("", path, "", propagation, "")


@propagate.calls
def _(path: str, propagation: int) -> list[str]:
    return [f'mount("{path}", {names(propagation, MOUNT_NAMES)})']


@operation("make the mount that {0} is on private")
def unshare_parent(context: Context, rootfs: str) -> None:
    """The mount that holds the rootfs; the other mounts keep what the configuration says."""
    _change_mount_of(rootfs, MS_PRIVATE)


def _change_mount_of(path: str, propagation: int) -> None:
    """Set the propagation of the mount that path lies on."""
    while True:
        try:
            mount("", path, "", propagation, "")
            return
        except OSError as error:
            if error.errno != errno.EINVAL or path == "/":
                raise
            path = os.path.dirname(path)  # not a mount point


@unshare_parent.calls
def _(rootfs: str) -> list[str]:
    return ["mount(MS_PRIVATE)"]


@operation("bind the rootfs {0} on itself")
def bind_root(context: Context, path: str) -> None:
    """Hold the rootfs, now a mount of its own, under "root".

    pivot_root(2) wants a mount point.  The descriptor is of the new mount, so
    all that follows lands in it.  The path is resolved once, and has no link in
    it that somebody could exchange (CVE-2019-18837).
    """
    place = openat2(path, os.O_PATH | os.O_DIRECTORY, resolve=RESOLVE_NO_SYMLINKS)
    try:
        tree = clone_tree("", recursive=True, dirfd=place)
        context.keep("root", tree)
        move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
    finally:
        os.close(place)


@bind_root.calls
def _(path: str) -> list[str]:
    return [
        f'openat2("{path}", O_PATH|O_DIRECTORY, RESOLVE_NO_SYMLINKS)',
        'open_tree("", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


@operation("make the rootfs the root directory by pivot_root")
def pivot(context: Context) -> None:
    """pivot_root(".", "."): the old root ends up on top of the new, and is detached.

    It becomes a slave first, so that the detaching does not reach the host.  What
    "." is after pivot_root is for the kernel to choose: the old root is entered
    by a descriptor, lest those of the container's mounts that are shared become
    slaves.

    Source: pivot_root(2), NOTES.
    """
    old = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fchdir(context.fds["root"])
        pivot_root(".", ".")
        os.fchdir(old)
    finally:
        os.close(old)
    mount("", ".", "", MS_SLAVE | MS_REC, "")
    umount2(".", MNT_DETACH)
    os.chdir("/")


@pivot.calls
def _() -> list[str]:
    return [
        'openat("/", O_PATH|O_DIRECTORY|O_CLOEXEC)',
        "fchdir()",
        'pivot_root(".", ".")',
        "fchdir()",
        'mount(".", MS_SLAVE|MS_REC)',
        'umount2(".", MNT_DETACH)',
        'chdir("/")',
    ]


@operation("make the rootfs the root directory by a move and chroot")
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
    os.fchdir(context.fds["root"])
    move_mount(context.fds["root"], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)
    os.chroot(".")
    os.chdir("/")


@move_root.calls
def _() -> list[str]:
    return [
        'mount("/", MS_SLAVE)',
        "fchdir()",
        'move_mount("", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)',
        'chroot(".")',
        'chdir("/")',
    ]


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
        _change_mount_of(os.path.dirname(point), MS_SLAVE)
        mount("", point, "", MS_SLAVE | MS_REC, "")
        umount2(point, MNT_DETACH)
    except OSError as error:
        if error.errno == errno.ENOENT:
            return  # gone with one above
        if error.errno not in (errno.EINVAL, errno.EPERM):
            raise
        # Locked by a user namespace, or covered by another one: cover it once more.
        mount("tmpfs", point, "tmpfs", 0, "size=4k")


@operation("make the rootfs the root directory by chroot")
def change_root(context: Context) -> None:
    os.fchdir(context.fds["root"])
    os.chroot(".")
    os.chdir("/")


@change_root.calls
def _() -> list[str]:
    return ["fchdir()", 'chroot(".")', 'chdir("/")']


@operation("make the root read-only")
def make_root_read_only(context: Context) -> None:
    """The root's own mount, not those on it."""
    root = context.fds["root"]
    if not set_attributes(root, MOUNT_ATTR_RDONLY, 0):
        remount_attached(context, root, MOUNT_ATTR_RDONLY, 0)


@make_root_read_only.calls
def _() -> list[str]:
    return ['mount_setattr("", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)']


@operation("hold the host's /proc")
def open_proc(context: Context) -> None:
    """Keep the host's /proc under "proc" for what is written and reopened through it.

    The container's own /proc is the image's business and cannot be trusted
    (CVE-2025-52881).  /proc/sys and /proc/self show the namespaces and the
    process of who looks, so the host's serves.
    """
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    context.keep("proc", proc)
    if not is_whole_proc(proc):
        raise StepProblem("/proc is not a proc file system", "mount proc on /proc")


@open_proc.calls
def _() -> list[str]:
    return ['openat("/proc", O_PATH|O_DIRECTORY|O_CLOEXEC)', "fstatfs(PROC_SUPER_MAGIC)"]


@operation("make the working directory {0}")
def make_directory(context: Context, path: str) -> None:
    """A missing working directory is made, as root and before the root turns read-only."""
    os.close(make_in_root(context.fds["root"], path, directory=True))


@make_directory.calls
def _(path: str) -> list[str]:
    return [f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)']
