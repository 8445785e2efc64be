"""Bind mounts: what the host has, in the container too."""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from ..syscalls.constants import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    AT_SYMLINK_NOFOLLOW,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
)
from ..syscalls.mounts import open_tree
from .attach import PROC_FILES, attach, finish
from .paths import make_in_root
from .refused import explain_clone

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context


def open_source(context: Context, slot: str, source: str, recursive: bool) -> None:
    """A detached copy of the mount that source is on, kept under slot."""
    context.keep(slot, clone_tree(source, recursive=recursive))


def clone_tree(source: str, *, recursive: bool, dirfd: int = AT_FDCWD, follow: bool = True) -> int:
    """open_tree(2): a detached copy of a mount from source down, close-on-exec.

    source "" copies what dirfd refers to.
    follow: where source is a symbolic link, what it leads to, and not the link itself.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    if recursive:
        flags |= AT_RECURSIVE
    if not follow:
        flags |= AT_SYMLINK_NOFOLLOW
    if not source:
        flags |= AT_EMPTY_PATH
    try:
        return open_tree(dirfd, source, flags)
    except OSError as error:
        if error.errno == errno.EINVAL and source and not recursive:
            explain_clone(error, source)
        raise


def bind(
    context: Context,
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """The host's source on target; a missing target becomes a directory or a file like it."""
    tree = context.fds.pop(slot) if slot else clone_tree(source, recursive=recursive)
    changes = (attr_set, attr_clr, asked, rec_set, rec_clr, propagation)
    attach_tree(context, target, source, tree, -1, *changes)


def attach_tree(
    context: Context,
    target: str,
    source: str,
    tree: int,
    place: int,
    attr_set: int,
    attr_clr: int,
    asked: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """Put a copy of source on target, and close it.

    place: where that is, closed too; -1 to look for target, and make it.
    """
    try:
        directory = stat.S_ISDIR(posix.fstat(tree).st_mode)
        # No link may lead to another file of /proc than the one that was allowed.
        links = target not in PROC_FILES
        if place < 0:
            root = context.fds["root"]
            place = make_in_root(root, target, directory=directory, symlinks=links)
        try:
            if stat.S_ISDIR(posix.fstat(place).st_mode) != directory:
                kinds = ("a directory", "no directory")
                source_is, target_is = kinds if directory else kinds[::-1]
                raise StepProblem(f"{source} is {source_is} and {target} is {target_is}")
            changes = {"attr_set": attr_set, "attr_clr": attr_clr, "asked": asked}
            attach(context, tree, place, target, **changes)
        finally:
            posix.close(place)
        finish(context, tree, rec_set, rec_clr, propagation)
    finally:
        posix.close(tree)
