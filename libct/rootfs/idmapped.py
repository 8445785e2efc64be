"""Id-mapped mounts (mount_setattr(2), ID-mapped mounts; Linux 5.12).

Only who has rights over the file system's own user namespace may map a mount of
it: the server before it clones the first process, which inherits the descriptor
of the mount, left detached; or a lender, for a container in a user namespace
(bootstrap/lending.py).
"""

from __future__ import annotations

import errno
import posix

from ..config.mount_flags import MOUNT_ATTR_IDMAP, MS_SLAVE
from ..errors import StepProblem
from ..syscalls import procfs
from ..syscalls.constants import AT_EMPTY_PATH, AT_RECURSIVE
from ..syscalls.mounts import mount_setattr
from ..syscalls.namespaces import CLONE_NEWUSER, clone3
from .binds import bind, clone_tree
from .filesystems import make_filesystem
from .flags import attributes, takes_mount
from .refused import explain_mapping

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from .flags import Options

_CANNOT_MAP = "this kernel cannot map the ids of a file system of type {!r}"
_SIGCHLD = 17  # on every architecture of libct; signal(7)


def open_idmapped(
    context: Context,
    slot: str,
    source: str,
    recursive: bool,
    slave: bool,
    map_recursive: bool,
    path: str,
    uids: str,
    gids: str,
) -> None:
    """The server's: a mapped copy of the mount that source is on, kept under slot."""
    tree = mapped_tree(source, recursive, slave, map_recursive, path, uids, gids)
    context.keep(slot, tree)


def make_idmapped(
    context: Context,
    slot: str,
    fstype: str,
    source: str,
    options: Options,
    flags: int,
    path: str,
    uids: str,
    gids: str,
) -> None:
    """The server's: a new file system, detached, with its ids mapped, kept under slot."""
    if takes_mount(options, flags):
        raise StepProblem("an option is too long, or iversion, for a mount with its ids mapped")
    attr_set, _ = attributes(flags)
    tree = make_filesystem(fstype, source, options, flags, attr_set)
    try:
        _map(tree, False, False, path, uids, gids)
    except BaseException as error:
        posix.close(tree)
        if isinstance(error, OSError) and error.errno == errno.EINVAL:
            error.hint = _CANNOT_MAP.format(fstype)  # type: ignore[attr-defined]
        raise
    context.keep(slot, tree)


def attach_mapped(
    context: Context,
    target: str,
    source: str,
    slot: str,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """Put what make_idmapped() has made on target."""
    bind(context, target, source, False, slot, 0, 0, 0, rec_set, rec_clr, propagation)


def mapped_tree(
    source: str,
    recursive: bool,  # as they come over the channel
    slave: bool,
    map_recursive: bool,
    path: str,
    uids: str,
    gids: str,
) -> int:
    """A detached copy of the mount that source is on, from there down, with its ids mapped.

    path: a user namespace to map by; "" makes one with the maps uids and gids.
    """
    tree = clone_tree(source, recursive=recursive)
    try:
        _map(tree, slave, map_recursive, path, uids, gids)
    except BaseException as error:
        posix.close(tree)
        if isinstance(error, PermissionError):
            explain_mapping(error, source, recursive=map_recursive)
        raise
    return tree


def _map(tree: int, slave: bool, map_recursive: bool, path: str, uids: str, gids: str) -> None:
    if path:
        namespace = posix.open(path, posix.O_RDONLY | posix.O_CLOEXEC)
    else:
        namespace = _namespace_with(uids, gids)
    try:
        if slave:
            flags = AT_EMPTY_PATH | AT_RECURSIVE
            mount_setattr("", dirfd=tree, flags=flags, propagation=MS_SLAVE)
        flags = AT_EMPTY_PATH | (AT_RECURSIVE if map_recursive else 0)
        mount_setattr("", dirfd=tree, flags=flags, attr_set=MOUNT_ATTR_IDMAP, userns_fd=namespace)
    finally:
        posix.close(namespace)


def _namespace_with(uids: str, gids: str) -> int:
    """A descriptor of a new user namespace with these maps, held by a process that ends here."""
    read, write = posix.pipe()
    pid, _ = clone3(CLONE_NEWUSER, _SIGCHLD)
    if pid == 0:
        posix.close(write)
        posix.read(read, 1)  # until the other side is done, or gone
        posix._exit(0)
    try:
        posix.close(read)
        for name, text in (("uid_map", uids), ("gid_map", gids)):
            with open(procfs.path(pid, name), "wb", buffering=0) as file:
                file.write(text.encode())
        return posix.open(procfs.path(pid, "ns/user"), posix.O_RDONLY | posix.O_CLOEXEC)
    finally:
        posix.close(write)
        posix.waitpid(pid, 0)
