"""The root of the file system: propagation, the rootfs as a mount, and the change of root.

Three ways lead into the rootfs: pivot_root(2), which every container with a
mount namespace takes; a mount moved onto / with chroot(2), for an initramfs,
whose root cannot be pivoted (noPivot); and chroot(2) alone for a container
that shares the host's mount namespace.
"""

from __future__ import annotations

import errno
import os
import stat

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
from ..syscalls.flags import MOUNT_NAMES, names
from ..syscalls.mounts import (
    AT_FDCWD,
    MNT_DETACH,
    MOVE_MOUNT_F_EMPTY_PATH,
    PROC_SUPER_MAGIC,
    fsconfig_create,
    fsconfig_set_flag,
    fsconfig_set_string,
    fsmount,
    fsopen,
    fstatfs,
    mount,
    move_mount,
    pivot_root,
    umount2,
)
from .attach import remount_attached, set_attributes, set_propagation
from .mounts import clone_tree
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config


def prepare_steps(config: Config) -> list[Step]:
    """From the host's file systems, as the new namespace inherits them, to a rootfs of its own."""
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return [open_root(config.rootfs, why="root.path")]
    steps = []
    # First of all: no mount made from here on may reach the host.
    propagation = config.root_propagation or (MS_SLAVE | MS_REC)
    steps.append(propagate("/", propagation, why="linux.rootfsPropagation"))
    # pivot_root and move_mount refuse a shared parent.
    if propagation & MS_SHARED:
        steps.append(unshare_parent(config.rootfs, why="root.path"))
    if config.rootfs_view == "overlay":
        steps.append(overlay_root(config.rootfs, _scratch(config.rootfs), why="root.path"))
    else:
        steps.append(bind_root(config.rootfs, why="root.path"))
    if config.rootfs_view == "read-only":
        # Before the container's own mounts, which are to stay writable.
        steps.append(make_root_read_only(True, why="root.readonly"))
    return steps


def _scratch(rootfs: str) -> str:
    """A directory to mount what an overlay needs on, hidden from nobody but us."""
    return "/tmp" if rootfs != "/tmp" and not rootfs.startswith("/tmp/") else "/run"


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
    tree = os.open(_mount_of(rootfs), os.O_PATH | os.O_CLOEXEC)
    try:
        set_propagation(context, tree, MS_PRIVATE)
    finally:
        os.close(tree)


def _mount_of(path: str) -> str:
    """The mount point that path lies on."""
    while not os.path.ismount(path):
        path = os.path.dirname(path)
    return path


@operation("bind the rootfs {0} on itself")
def bind_root(context: Context, path: str) -> None:
    """Hold the rootfs, now a mount of its own, under "root".

    pivot_root(2) wants a mount point.  The descriptor is of the new mount, so
    all that follows lands in it.
    """
    tree = clone_tree(path, recursive=True)
    context.keep("root", tree)
    move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)


@bind_root.calls
def _(path: str) -> list[str]:
    return [
        f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC|AT_RECURSIVE)',
        f'move_mount("", AT_FDCWD, "{path}", MOVE_MOUNT_F_EMPTY_PATH)',
    ]


@operation("lay a writable overlay over the rootfs {0}")
def overlay_root(context: Context, path: str, scratch: str) -> None:
    """Hold under "root" an overlay of path whose writes go to a tmpfs, and with it away.

    scratch: a directory that the tmpfs may cover, in this mount namespace
        alone: overlayfs wants the places of its layers by path, and attached.
    The mounts below path are not part of it (overlayfs.rst): bind them.
    """
    layers = _attached_tmpfs(scratch)
    try:
        for name in ("upper", "work"):
            os.mkdir(name, 0o755, dir_fd=layers)
        below = os.stat(path)
        try:
            os.chown("upper", below.st_uid, below.st_gid, dir_fd=layers)
        except OSError as error:
            if error.errno != errno.EINVAL:
                raise
            # Not mapped in our user namespace: the directory stays ours.
        os.chmod("upper", stat.S_IMODE(below.st_mode), dir_fd=layers)
    finally:
        os.close(layers)
    options = [("lowerdir", path), ("upperdir", f"{scratch}/upper"), ("workdir", f"{scratch}/work")]
    fs = fsopen("overlay")
    try:
        for key, value in options:
            fsconfig_set_string(fs, key, value)
        if os.geteuid() != 0 or not _in_first_user_namespace():
            # trusted.* attributes are for the first user namespace alone.
            fsconfig_set_flag(fs, "userxattr")
        fsconfig_create(fs)
        tree = fsmount(fs, 0)
    finally:
        os.close(fs)
    context.keep("root", tree)
    move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)


@overlay_root.calls
def _(path: str, scratch: str) -> list[str]:
    return [
        'fsopen("tmpfs", FSOPEN_CLOEXEC)',
        f'move_mount("", AT_FDCWD, "{scratch}", MOVE_MOUNT_F_EMPTY_PATH)',
        'fsopen("overlay", FSOPEN_CLOEXEC)',
        f'fsconfig(FSCONFIG_SET_STRING, "lowerdir", "{path}")',
        "fsconfig(FSCONFIG_CMD_CREATE)",
        f'move_mount("", AT_FDCWD, "{path}", MOVE_MOUNT_F_EMPTY_PATH)',
    ]


def _attached_tmpfs(path: str) -> int:
    fs = fsopen("tmpfs")
    try:
        fsconfig_set_string(fs, "source", "tmpfs")
        fsconfig_set_string(fs, "mode", "700")
        fsconfig_create(fs)
        tree = fsmount(fs, 0)
    finally:
        os.close(fs)
    move_mount(tree, "", AT_FDCWD, path, MOVE_MOUNT_F_EMPTY_PATH)
    return tree


def _in_first_user_namespace() -> bool:
    with open("/proc/self/uid_map", "rb", buffering=0) as file:
        return file.read(64).split() == [b"0", b"0", b"4294967295"]


@operation("make the rootfs the root directory by pivot_root")
def pivot(context: Context) -> None:
    """pivot_root(".", "."): the old root ends up on top of the new, and is detached.

    It becomes a slave first, so that the detaching does not reach the host.
    Source: pivot_root(2), NOTES.
    """
    os.fchdir(context.fds["root"])
    pivot_root(".", ".")
    mount("", ".", "", MS_SLAVE | MS_REC, "")
    umount2(".", MNT_DETACH)
    os.chdir("/")


@pivot.calls
def _() -> list[str]:
    return [
        "fchdir()",
        'pivot_root(".", ".")',
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
    os.fchdir(context.fds["root"])
    for point in _full_mounts():
        _hide(point)
    move_mount(context.fds["root"], "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)
    os.chroot(".")
    os.chdir("/")


@move_root.calls
def _() -> list[str]:
    return [
        "fchdir()",
        'move_mount("", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH)',
        'chroot(".")',
        'chdir("/")',
    ]


def _full_mounts() -> list[str]:
    """Mount points of whole proc and sysfs file systems, outside of the rootfs; deepest first."""
    here = os.getcwd().rstrip("/") + "/"
    found = []
    with open("/proc/self/mountinfo", "rb") as mounts:
        for line in mounts:
            fields = os.fsdecode(line).split()
            root, point, fstype = fields[3], fields[4], fields[fields.index("-") + 1]
            if root == "/" and fstype in ("proc", "sysfs") and not (point + "/").startswith(here):
                found.append(point.replace("\\040", " "))
    return sorted(found, key=len, reverse=True)


def _hide(point: str) -> None:
    try:
        umount2(point, MNT_DETACH)
    except OSError:
        # Locked by a user namespace, or not ours to unmount: cover it instead.
        mount("tmpfs", point, "tmpfs", 0, "size=0")


@operation("make the rootfs the root directory by chroot")
def change_root(context: Context) -> None:
    os.fchdir(context.fds["root"])
    os.chroot(".")
    os.chdir("/")


@change_root.calls
def _() -> list[str]:
    return ["fchdir()", 'chroot(".")', 'chdir("/")']


@operation("make the root read-only")
def make_root_read_only(context: Context, recursive: bool) -> None:
    """recursive: every mount below, too (sandbox); else the root's own mount (root.readonly)."""
    root = context.fds["root"]
    if not set_attributes(root, MOUNT_ATTR_RDONLY, 0, recursive=recursive):
        remount_attached(context, root, MOUNT_ATTR_RDONLY, 0)


@make_root_read_only.calls
def _(recursive: bool) -> list[str]:
    flags = "AT_EMPTY_PATH|AT_RECURSIVE" if recursive else "AT_EMPTY_PATH"
    return [f'mount_setattr("", {flags}, MOUNT_ATTR_RDONLY)']


@operation("hold the host's /proc")
def open_proc(context: Context) -> None:
    """Keep the host's /proc under "proc" for what is written and reopened through it.

    The container's own /proc is the image's business and cannot be trusted
    (CVE-2025-52881).  /proc/sys and /proc/self show the namespaces and the
    process of who looks, so the host's serves.
    """
    proc = os.open("/proc", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    context.keep("proc", proc)
    if fstatfs(proc).type != PROC_SUPER_MAGIC:
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


