"""The root of the file system: propagation, the rootfs as a mount, and the change of root.

Three ways lead into the rootfs: pivot_root(2), which every container with a
mount namespace takes; a mount moved onto / with chroot(2), for an initramfs,
whose root cannot be pivoted (noPivot); and chroot(2) alone for a container
that shares the host's mount namespace.
"""

from __future__ import annotations

from ..config.mount_flags import (
    MS_PRIVATE,
    MS_REC,
    MS_REMOUNT,
    MS_SHARED,
    MS_SLAVE,
    MS_UNBINDABLE,
)
from ..config.namespace import NEWNS
from .calls import mount_names
from .chroot import change_root, open_root
from .mounts import is_bind
from .step import Performers, Step, operation

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..config import Config
    from ..rootfs import moved_root, root
else:
    moved_root = Performers("rootfs.moved_root")
    root = Performers("rootfs.root")


def prepare_steps(config: Config, sources: list[Step]) -> list[Step]:
    """From the host's file systems, as the new namespace inherits them, to a rootfs of its own.

    sources: to be opened before a view comes to lie on our root, where `/..` leads to it.
    """
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
        from .view import view_steps

        return [*steps, *sources, *view_steps(config)]
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


def with_private_binds(config: Config) -> Config:
    """Where all is to be private, so are binds whose sources were opened before it became that.

    In a user namespace these are slaves of the host's.  Then comes what they are asked to be.
    """
    if config.root_propagation != MS_PRIVATE | MS_REC:
        return config
    changed = config.copy()
    for mount in changed.mounts:
        if is_bind(mount) and not mount.flags & MS_REMOUNT:
            mount.propagation_flags = [MS_PRIVATE | MS_REC, *mount.propagation_flags]
    return changed


def enter_steps(config: Config) -> list[Step]:
    """Into the rootfs, and no way back."""
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return [change_root()]
    steps = [move_root() if config.no_pivot_root else pivot()]
    propagation = config.root_propagation
    # What is private with all below it has been so from the start: mounts that are
    # to be something else stay that.
    if propagation & (MS_SHARED | MS_UNBINDABLE) or propagation == MS_PRIVATE:
        steps.append(propagate("/", propagation, why="linux.rootfsPropagation"))
    return steps


@operation(root.propagate, "set the propagation of {0}")
def propagate(path: str, propagation: int) -> list[str]:
    return [f'mount("{path}", {mount_names(propagation)})']


@operation(moved_root.unshare_parent, "make the mount that {0} is on private")
def unshare_parent(rootfs: str) -> list[str]:
    return ["mount(MS_PRIVATE)"]


@operation(root.bind_root, "bind the rootfs {0} on itself")
def bind_root(path: str) -> list[str]:
    return [
        f'openat2("{path}", O_PATH|O_DIRECTORY, RESOLVE_NO_SYMLINKS)',
        'open_tree("", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_EMPTY_PATH|AT_RECURSIVE)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


@operation(root.pivot, "make the rootfs the root directory by pivot_root")
def pivot() -> list[str]:
    return [
        'openat("/", O_PATH|O_DIRECTORY|O_CLOEXEC)',
        "fchdir()",
        'pivot_root(".", ".")',
        "fchdir()",
        'mount(".", MS_SLAVE|MS_REC)',
        'umount2(".", MNT_DETACH)',
        'chdir("/")',
    ]


@operation(moved_root.move_root, "make the rootfs the root directory by a move and chroot")
def move_root() -> list[str]:
    return [
        'mount("/", MS_SLAVE)',
        "fchdir()",
        'move_mount("", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)',
        'chroot(".")',
        'chdir("/")',
    ]


@operation(root.make_root_read_only, "make the root read-only")
def make_root_read_only() -> list[str]:
    return ['mount_setattr("", AT_EMPTY_PATH, MOUNT_ATTR_RDONLY)']


@operation(root.make_directory, "make the directory {0}")
def make_directory(path: str) -> list[str]:
    return [f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)']
