"""SELinux' labels of files: of all below a bind mount, and of the root of one.

What is labelled is reached by descriptors, from that of the mount on: whoever may
write to the files meanwhile cannot lead us elsewhere, and links are labelled
themselves.
"""

from __future__ import annotations

import _stat as stat
import errno
import posix

from ..errors import StepProblem
from .binds import clone_tree
from .paths import open_in_root

TYPE_CHECKING = False
if TYPE_CHECKING:
    from ..bootstrap.context import Context

_NAME = "security.selinux"
_DIRECTORY = posix.O_RDONLY | posix.O_DIRECTORY | posix.O_NOFOLLOW | posix.O_CLOEXEC
_DEEPEST = 500  # directories, each a descriptor and a call of Python's
# selinuxfs, cgroup and the like: their files have no such attribute (go-selinux).
_NO_LABELS = (errno.EOPNOTSUPP, errno.ENOENT)


def relabel(context: Context, source: str, slot: str, label: str) -> None:
    """The label to source and all below it.  slot: where an earlier step has opened it."""
    tree = context.fds[slot] if slot else clone_tree(source, recursive=True)
    try:
        value = label.encode()
        _set(context, f"self/fd/{tree}", value)
        if stat.S_ISDIR(posix.fstat(tree).st_mode):
            top = posix.open(".", _DIRECTORY, dir_fd=tree)
            try:
                _below(context, top, value, 1)
            finally:
                posix.close(top)
    finally:
        if not slot:
            posix.close(tree)


def label_mount(context: Context, target: str, label: str) -> None:
    place = open_in_root(context.fds["root"], target)
    try:
        _set(context, f"self/fd/{place}", label.encode())
    finally:
        posix.close(place)


def _below(context: Context, directory: int, value: bytes, depth: int) -> None:
    if depth > _DEEPEST:
        raise StepProblem(f"directories deeper than {_DEEPEST} are not labelled")
    for name in posix.listdir(directory):
        _set(context, f"self/fd/{directory}/{name}", value, links=False)
        try:
            below = posix.open(name, _DIRECTORY, dir_fd=directory)
        except OSError as error:
            if error.errno in (errno.ENOTDIR, errno.ELOOP, errno.ENOENT):
                continue
            raise
        try:
            _below(context, below, value, depth + 1)
        finally:
            posix.close(below)


def _set(context: Context, path: str, value: bytes, *, links: bool = True) -> None:
    """By the host's /proc: a descriptor opened with O_PATH is good for no more (fsetxattr(2)).

    What has gone meanwhile has no label to be given.
    """
    posix.fchdir(context.fds["proc"])
    try:
        posix.setxattr(path, _NAME, value, follow_symlinks=links)
    except OSError as error:
        if error.errno not in _NO_LABELS:
            raise
    finally:
        posix.fchdir(context.fds["root"])
