"""Mounts of type cgroup inside a container: hierarchies of cgroup v1, and groups that are bound."""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY
from .attach import attach
from .binds import clone_tree
from .filesystems import mount_filesystem
from .flags import ATIME, attributes
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options


def bind_group(
    context: Context,
    target: str,
    own: str,
    runtime: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
) -> None:
    """The container's group, or the runtime's where an ordinary user may make no other.

    That is read-only: others of his are in there, whom the container is not to stop or kill.
    """
    place = make_in_root(context.fds["root"], target, directory=True)
    try:
        try:
            tree = clone_tree(own, recursive=False)
        except FileNotFoundError:
            tree = clone_tree(runtime, recursive=False)
            attr_set |= MOUNT_ATTR_RDONLY
        try:
            changes = {"attr_set": attr_set, "attr_clr": attr_clr, "asked": asked}
            attach(context, tree, place, target, **changes)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)


def mount_hierarchy(
    context: Context, target: str, controllers: Options, flags: int, own: str, runtime: str
) -> None:
    """A v1 hierarchy from the container's cgroup namespace; what is refused, by bind_group().

    EBUSY is a hierarchy that has other controllers than this kernel says.
    """
    try:
        mount_filesystem(context, target, "cgroup", "cgroup", controllers, flags, 0, 0, ())
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.EBUSY):
            raise
        attr_set, attr_clr = attributes(flags)
        bind_group(context, target, own, runtime, attr_set, attr_clr & ATIME, attr_clr & ATIME)
