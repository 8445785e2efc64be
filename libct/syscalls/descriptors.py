"""Descriptors by other numbers; by what Python has for that, so this loads nothing else."""

from __future__ import annotations

import fcntl
import posix


def move_above(fd: int, lowest: int) -> int:
    """fd, if that is at least lowest; else it is closed, and a number that is is returned.

    Close-on-exec then.  On failure fd stays open.
    """
    if fd >= lowest:
        return fd
    moved = fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, lowest)
    posix.close(fd)
    return moved
