"""The descriptors of the container's command: stdio, those passed on, and no others."""

from __future__ import annotations

import _stat as stat
import posix

from ..plan.processes import HOOK_OUTPUT, STDIO
from ..rootfs.paths import find_in_root
from ..syscalls.descriptors import move_above
from ..syscalls.files import close_all_but
from .answer import ANSWER, START
from .context import Context

_NULL = posix.makedev(1, 3)


def install_descriptors(context: Context, extra: int) -> None:
    """Descriptors 0, 1, 2 are "stdin", "stdout", "stderr", those from 3 on "extra 0" and so on.

    A standard descriptor that the plan has none for stays /dev/null.
    """
    names = [*STDIO, *(f"extra {n}" for n in range(extra))]
    # What now lies where others shall come moves up first.
    for name, fd in list(context.fds.items()):
        context.fds[name] = move_above(fd, len(names))
    context.values["talk"].move_above(len(names))
    for number, name in enumerate(names):
        if name in context.fds:
            posix.dup2(context.fds[name], number, inheritable=True)
            context.release(name)


def reopen_null(context: Context) -> None:
    """A standard descriptor on /dev/null would otherwise hold the host's /dev open.

    The container's may be anything else, which is not opened (as in rootfs/files.py).
    """
    for number in range(3):
        found = posix.fstat(number)
        if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL:
            continue
        place = find_in_root(context.fds["root"], "/dev/null")
        if place < 0:
            return
        try:
            found = posix.fstat(place)
            if not stat.S_ISCHR(found.st_mode) or found.st_rdev != _NULL:
                return
            flags = posix.O_RDWR | posix.O_NOCTTY | posix.O_CLOEXEC
            null = posix.open(f"self/fd/{place}", flags, dir_fd=context.fds["proc"])
        finally:
            posix.close(place)
        posix.dup2(null, number, inheritable=True)
        posix.close(null)


def close_descriptors(context: Context, kept: int, hooks: bool) -> None:
    """All from kept on (3 and those passed on), so that no directory stays open as a way out.

    The pipes of the talk and of the start are left to execve, which closes them: that
    is how the other side learns that it has succeeded.  CVE-2024-21626.
    hooks: some are yet to come; so are the files that they write to.
    """
    names = (START, ANSWER, *HOOK_OUTPUT) if hooks else (START, ANSWER)
    left = {name: fd for name, fd in context.fds.items() if name in names}
    ours = (*context.values["talk"].descriptors(), *left.values())
    close_all_but(kept, ours)
    context.fds.clear()
    context.fds.update(left)
