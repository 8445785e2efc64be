"""The cgroup file systems inside a container (mounts of type cgroup and cgroup2)."""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import MOUNT_ATTR_RDONLY
from ..loading.paths import exists
from .attach import attach, finish
from .binds import clone_tree
from .filesystems import make_filesystem
from .masks import empty_tmpfs
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def mount_cgroup2(
    context: Context,
    target: str,
    source: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
    protected: bool,
) -> None:
    """The v2 tree from the container's cgroup namespace.

    Where the kernel refuses that, source of the host is bound; where that is
    not there either, in the mount namespace of an ordinary user's, the place is
    covered, for a writable tree may be below it (CVE-2023-25809).
    protected: the container has no group of its own, which is so too where source is not
        there.  What it sees is the runtime's, and read-only: others of its user are in there.
    """
    protected = protected or not exists(source)
    place = make_in_root(context.fds["root"], target, directory=True)
    try:
        try:
            tree = make_filesystem("cgroup2", "cgroup2", ())
            attr_set |= MOUNT_ATTR_RDONLY if protected else 0
        except OSError as error:
            if error.errno not in (errno.EPERM, errno.EBUSY):
                raise
            try:
                tree = clone_tree(source, recursive=True)
                attr_set |= MOUNT_ATTR_RDONLY if protected else 0
            except FileNotFoundError:
                tree = empty_tmpfs()
        try:
            changes = {"attr_set": attr_set, "attr_clr": attr_clr, "asked": asked}
            attach(context, tree, place, target, **changes)
            finish(context, tree, rec_set, rec_clr, propagation)
        finally:
            posix.close(tree)
    finally:
        posix.close(place)
