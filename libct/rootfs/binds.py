"""Bind mounts: what the host has, in the container too."""

from __future__ import annotations

import os
import stat

from ..config.mount_flags import MS_BIND
from ..errors import StepProblem
from ..plan.step import operation
from ..syscalls.mounts import (
    AT_EMPTY_PATH,
    AT_FDCWD,
    AT_RECURSIVE,
    OPEN_TREE_CLOEXEC,
    OPEN_TREE_CLONE,
    open_tree,
)
from .attach import PROC_FILES, attach, finish, finish_calls, setattr_call
from .paths import make_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context
    from ..config import Mount


def is_bind(mount: Mount) -> bool:
    return mount.device == "bind" or bool(mount.flags & MS_BIND)


@operation("open {1} to mount it later")
def open_source(context: Context, slot: str, source: str, recursive: bool) -> None:
    """A detached copy of the mount that source is on, kept under slot."""
    context.keep(slot, clone_tree(source, recursive=recursive))


@open_source.calls
def _(slot: str, source: str, recursive: bool) -> list[str]:
    return [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']


def clone_tree(source: str, *, recursive: bool, dirfd: int = AT_FDCWD) -> int:
    """open_tree(2): a detached copy of a mount from source down, close-on-exec.

    source "" copies what dirfd refers to.
    """
    flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC
    if recursive:
        flags |= AT_RECURSIVE
    if not source:
        flags |= AT_EMPTY_PATH
    return open_tree(dirfd, source, flags)


def _clone_names(recursive: bool) -> str:
    return "OPEN_TREE_CLONE|OPEN_TREE_CLOEXEC" + ("|AT_RECURSIVE" if recursive else "")


@operation("bind {1} on {0}")
def bind(
    context: Context,
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> None:
    """The host's source on target; a missing target becomes a directory or a file like it."""
    tree = context.fds.pop(slot) if slot else clone_tree(source, recursive=recursive)
    try:
        directory = stat.S_ISDIR(os.fstat(tree).st_mode)
        # No link may lead to another file of /proc than the one that was allowed.
        links = target not in PROC_FILES
        place = make_in_root(context.fds["root"], target, directory=directory, symlinks=links)
        try:
            if stat.S_ISDIR(os.fstat(place).st_mode) != directory:
                kinds = ("a directory", "no directory")
                source_is, target_is = kinds if directory else kinds[::-1]
                raise StepProblem(f"{source} is {source_is} and {target} is {target_is}")
            attach(context, tree, place, target, attr_set=attr_set, attr_clr=attr_clr)
        finally:
            os.close(place)
        finish(context, tree, rec_set, rec_clr, propagation)
    finally:
        os.close(tree)


@bind.calls
def _(
    target: str,
    source: str,
    recursive: bool,
    slot: str,
    attr_set: int,
    attr_clr: int,
    rec_set: int,
    rec_clr: int,
    propagation: tuple[int, ...],
) -> list[str]:
    calls = [] if slot else [f'open_tree(AT_FDCWD, "{source}", {_clone_names(recursive)})']
    calls.append(f'openat2("{target}", O_PATH, RESOLVE_IN_ROOT)')
    if attr_set or attr_clr:
        calls.append(setattr_call(attr_set, attr_clr))
    calls.append('move_mount("", MOVE_MOUNT_F_EMPTY_PATH|MOVE_MOUNT_T_EMPTY_PATH)')
    return calls + finish_calls(rec_set, rec_clr, propagation)
