"""Device nodes and the links of /dev (config-linux.md, Default Devices; runc's set)."""

from __future__ import annotations

import os
import stat

from ..config.namespace import NEWUSER
from ..plan.step import Step, operation
from .attach import attach
from .mounts import clone_tree, is_bind
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
    ("/dev/ptmx", "pts/ptmx"),
)
_KINDS = {"c": stat.S_IFCHR, "u": stat.S_IFCHR, "b": stat.S_IFBLK, "p": stat.S_IFIFO}


def device_steps(config: Config) -> list[Step]:
    """The nodes and links, unless the user brings a /dev of his own by a bind mount."""
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
        if binding and device.type != "p":
            steps.append(bind_device(path, why=why))
        else:
            kind = _KINDS[device.type] | (device.file_mode & 0o7777)
            owner = (device.uid or 0, device.gid or 0)
            steps.append(make_device(path, kind, device.major, device.minor, *owner, why=why))
    return steps + [make_link(path, target) for path, target in _LINKS]


@operation("make the device node {0}")
def make_device(
    context: Context, path: str, mode: int, major: int, minor: int, uid: int, gid: int
) -> None:
    """mode holds type and permissions, as st_mode does; what is in the way is replaced."""
    parent, name = parent_in_root(context.fds["root"], path)
    try:
        number = os.makedev(major, minor)
        try:
            _make_node(parent, name, mode, number)
        except PermissionError:
            # Some parent of ours forbids mknod; the host's node does as well.
            _bind_host_device(context, path)
            return
        if uid or gid:
            os.chown(name, uid, gid, dir_fd=parent, follow_symlinks=False)
    finally:
        os.close(parent)


@make_device.calls
def _(path: str, mode: int, major: int, minor: int, uid: int, gid: int) -> list[str]:
    parent, _, name = path.rpartition("/")
    kinds = {stat.S_IFCHR: "S_IFCHR", stat.S_IFBLK: "S_IFBLK", stat.S_IFIFO: "S_IFIFO"}
    kind = kinds[stat.S_IFMT(mode)]
    calls = [
        f'openat2("{parent or "/"}", O_PATH, RESOLVE_IN_ROOT)',
        f'mknodat("{name}", {kind}|{stat.S_IMODE(mode):#05o}, makedev({major:#x}, {minor:#x}))',
    ]
    if uid or gid:
        calls.append(f'fchownat("{name}", {uid}, {gid}, AT_SYMLINK_NOFOLLOW)')
    return calls


def _make_node(parent: int, name: str, mode: int, number: int) -> None:
    try:
        os.mknod(name, mode, number, dir_fd=parent)
    except FileExistsError:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        same = found.st_rdev == number and stat.S_IFMT(found.st_mode) == stat.S_IFMT(mode)
        if not same:
            os.unlink(name, dir_fd=parent)
            os.mknod(name, mode, number, dir_fd=parent)
        elif stat.S_IMODE(found.st_mode) != stat.S_IMODE(mode):
            os.chmod(name, stat.S_IMODE(mode), dir_fd=parent)


@operation("bind the host's {0}")
def bind_device(context: Context, path: str) -> None:
    _bind_host_device(context, path)


@bind_device.calls
def _(path: str) -> list[str]:
    return [
        f'open_tree(AT_FDCWD, "{path}", OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC)',
        f'openat2("{path}", O_PATH, RESOLVE_IN_ROOT)',
        'move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)',
    ]


def _bind_host_device(context: Context, path: str) -> None:
    tree = clone_tree(path, recursive=False)
    try:
        place = make_in_root(context.fds["root"], path, directory=False)
        try:
            attach(context, tree, place, path)
        finally:
            os.close(place)
    finally:
        os.close(tree)


@operation("make the link {0} to {1}")
def make_link(context: Context, path: str, target: str) -> None:
    """A link of /dev; one that is there already is left as it is, but /dev/ptmx is ours."""
    parent, name = parent_in_root(context.fds["root"], path)
    try:
        try:
            os.symlink(target, name, dir_fd=parent)
        except FileExistsError:
            if name == "ptmx" and os.stat(name, dir_fd=parent, follow_symlinks=False).st_rdev:
                os.unlink(name, dir_fd=parent)
                os.symlink(target, name, dir_fd=parent)
    finally:
        os.close(parent)


@make_link.calls
def _(path: str, target: str) -> list[str]:
    parent, _, name = path.rpartition("/")
    return [
        f'openat2("{parent}", O_PATH, RESOLVE_IN_ROOT)',
        f'symlinkat("{target}", "{name}")',
    ]
