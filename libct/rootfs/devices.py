"""Device nodes and the links of /dev (config-linux.md, Default Devices; runc's set)."""

from __future__ import annotations

import errno
import os
import stat

from ..config.namespace import NEWNS, NEWUSER
from ..errors import StepProblem
from ..plan.step import Step, operation
from .attach import attach
from .binds import clone_tree, is_bind
from .paths import inside, make_in_root, parent_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Config

_LINKS = (
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/core", "/proc/kcore"),
    ("/dev/ptmx", "pts/ptmx"),
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}
_KIND_NAMES = {stat.S_IFCHR: "S_IFCHR", stat.S_IFBLK: "S_IFBLK", stat.S_IFIFO: "S_IFIFO"}


def device_steps(config: Config) -> list[Step]:
    """The nodes and links, unless /dev is the user's own (a bind mount) or the host's rootfs's."""
    if not any(namespace.type == NEWNS for namespace in config.namespaces):
        return []  # what would be made in the rootfs would stay there
    if any(is_bind(mount) and inside(mount.destination) == "/dev" for mount in config.mounts):
        return []
    # A user namespace may not make nodes that work: the host's are bound instead.
    binding = any(namespace.type == NEWUSER for namespace in config.namespaces)
    steps = []
    for index, device in enumerate(config.devices):
        path = inside(device.path)
        if path in ("/dev/console", "/dev/ptmx"):
            continue  # the console and the link to pts/ptmx have these places
        why = f"linux.devices[{index}]"
        fifo = device.type == "p"
        number = (0, 0) if fifo else (device.major, device.minor)
        if binding and not fifo:
            steps.append(bind_device(path, _KINDS[device.type], *number, why=why))
        else:
            mode = _KINDS[device.type] | (device.file_mode & 0o7777)
            owner = (device.uid or 0, device.gid or 0)
            steps.append(make_device(path, mode, *number, *owner, why=why))
    return steps + [make_link(path, target) for path, target in _LINKS]


@operation("make the device node {0}")
def make_device(
    context: Context, path: str, mode: int, major: int, minor: int, uid: int, gid: int
) -> None:
    """mode holds type and permissions, as st_mode does; what is in the way is replaced.

    But for a mount of the configuration: it is left as it is.
    """
    parent, name = parent_in_root(context, path)
    number = os.makedev(major, minor)
    try:
        _make_node(parent, name, mode, number, uid, gid)
    except PermissionError:
        # Some parent of ours forbids mknod; the host's node does as well.
        _bind_host_device(context, path, stat.S_IFMT(mode), number)


@make_device.calls
def _(path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> list[str]:
    name = os.path.basename(path)
    kind = _KIND_NAMES[stat.S_IFMT(mode)]
    permissions = f"{stat.S_IMODE(mode):#o}".replace("0o", "0")
    number = "" if kind == "S_IFIFO" else f", makedev({major:#x}, {minor:#x})"
    calls = [
        f'mknodat("{name}", {kind}|{permissions}{number})',
    ]
    if uid or gid:
        calls.append(f'fchownat("{name}", {uid}, {gid}, AT_SYMLINK_NOFOLLOW)')
    return calls


def _make_node(parent: int, name: str, mode: int, number: int, uid: int, gid: int) -> None:
    try:
        os.mknod(name, mode, number, dir_fd=parent)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if (found.st_mode, found.st_rdev, found.st_uid, found.st_gid) == (mode, number, uid, gid):
            return
        # Not changed in place: it may be a node of the host that is mounted there.
        if not _unlink(parent, name):
            return
        os.mknod(name, mode, number, dir_fd=parent)
    if uid or gid:
        os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)


def _unlink(parent: int, name: str) -> bool:
    """False for a mount point, which is left as it is."""
    try:
        os.unlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno != errno.EBUSY:
            raise
        return False
    return True


@operation("bind the host's {0}")
def bind_device(context: Context, path: str, kind: int, major: int, minor: int) -> None:
    """kind: S_IFCHR or S_IFBLK.  Mode and owner are those that the host's node has."""
    _bind_host_device(context, path, kind, os.makedev(major, minor))


@bind_device.calls
def _(path: str, kind: int, major: int, minor: int) -> list[str]:
    return [
        f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)',
        f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


def _bind_host_device(context: Context, path: str, kind: int, number: int) -> None:
    tree = clone_tree(path, recursive=False)
    try:
        found = os.fstat(tree)
        if stat.S_IFMT(found.st_mode) != kind or found.st_rdev != number:
            device = f"{os.major(number)}:{os.minor(number)}"
            raise StepProblem(
                f"{path} of the host is not the device {device}",
                "where device nodes cannot be made, the host's of the same name are taken",
            )
        place = make_in_root(context.fds["root"], path, directory=False)
        try:
            attach(context, tree, place, path)
        finally:
            os.close(place)
    finally:
        os.close(tree)


@operation("make the link {0} to {1}")
def make_link(context: Context, path: str, target: str) -> None:
    """A link of /dev; one that is there already is left as it is, but /dev/ptmx is ours.

    /dev/core is made where the kernel has a /proc/kcore.
    """
    if path == "/dev/core" and not _has_kcore(context):
        return
    parent, name = parent_in_root(context, path)
    try:
        os.symlink(target, name, dir_fd=parent)
    except FileExistsError:
        if path == "/dev/ptmx" and _unlink(parent, name):
            os.symlink(target, name, dir_fd=parent)


@make_link.calls
def _(path: str, target: str) -> list[str]:
    if path == "/dev/core":
        return []  # it depends
    return [f'symlinkat("{target}", "{os.path.basename(path)}")']


def _has_kcore(context: Context) -> bool:
    try:
        os.stat("kcore", dir_fd=context.fds["proc"])
    except FileNotFoundError:
        return False
    return True
