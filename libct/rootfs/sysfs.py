"""sysfs in a user namespace, which the kernel refuses without rights over the network namespace."""

from __future__ import annotations

import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY
from ..errors import StepProblem
from ..syscalls.constants import MOVE_MOUNT_F_EMPTY_PATH, MOVE_MOUNT_T_EMPTY_PATH, SYSFS_MAGIC
from ..syscalls.filesystems import fstatfs
from ..syscalls.mounts import move_mount
from .attach import attach, finish, set_attributes
from .binds import clone_tree
from .filesystems import mount_filesystem
from .flags import attributes
from .masks import empty_tmpfs
from .paths import find_in_root, make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options

_HOSTS = "/sys"


def mount_sysfs(
    context: Context,
    target: str,
    source: str,
    options: Options,
    flags: int,
    hidden: str,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """A new one; where the kernel refuses that, the host's with all below it, read-only.

    hidden: the place of the host's control groups in there, to be covered then, for
        a writable tree may be below it (CVE-2023-25809); or "".
    """
    after = (rec_set, rec_clr, propagation)
    try:
        mount_filesystem(context, target, "sysfs", source, options, flags, *after)
    except PermissionError as refused:
        tree = _hosts(refused)
        try:
            attr_set, _ = attributes(flags)
            if not set_attributes(tree, attr_set | MOUNT_ATTR_RDONLY, 0, recursive=True):
                raise  # before Linux 5.12 what is below would stay writable
            place = make_in_root(context.fds["root"], target, directory=True, symlinks=False)
            try:
                attach(context, tree, place, target)
            finally:
                posix.close(place)
            if hidden:
                _cover(context, hidden)
            finish(context, tree, *after)
        finally:
            posix.close(tree)


def _hosts(refused: PermissionError) -> int:
    """A detached copy of the host's; or refused, where that is no sysfs."""
    try:
        tree = clone_tree(_HOSTS, recursive=True)
    except OSError:
        raise refused from None
    if fstatfs(tree).type != SYSFS_MAGIC:
        posix.close(tree)
        raise StepProblem(f"{_HOSTS} of the host is not a sysfs that can be bound") from refused
    return tree


def _cover(context: Context, path: str) -> None:
    place = find_in_root(context.fds["root"], path)
    if place < 0:
        return  # a kernel without control groups
    try:
        tree = empty_tmpfs()
        try:
            move_mount(tree, "", place, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)
