"""Files of an image, read: whatever the image has in their place.

A fifo would hold up who opens it, a device may act on that alone, and what procfs
has says things about us.  So a file is found with O_PATH, which opens nothing, looked
at, and only then opened, by the descriptor: it cannot have become another meanwhile.
"""

from __future__ import annotations

import _stat as stat
import posix

from ..syscalls.constants import PROC_SUPER_MAGIC
from ..syscalls.filesystems import fstatfs

# A lease of somebody's would hold up the opening, too.
_FLAGS = posix.O_RDONLY | posix.O_NONBLOCK | posix.O_NOCTTY | posix.O_CLOEXEC


def open_regular(proc: int, place: int) -> int:
    """Open the file that place, an O_PATH descriptor, is of for reading; -1 for what is no file.

    proc: a descriptor of the host's /proc, borrowed like place.
    """
    if not stat.S_ISREG(posix.fstat(place).st_mode) or fstatfs(place).type == PROC_SUPER_MAGIC:
        return -1
    return posix.open(f"self/fd/{place}", _FLAGS, dir_fd=proc)


def read_regular(proc: int, place: int, most: int) -> bytes | None:
    """Up to so many bytes from the beginning of such a file; None for what is no file."""
    fd = open_regular(proc, place)
    if fd < 0:
        return None
    try:
        parts: list[bytes] = []
        while most > 0 and (part := posix.read(fd, most)):
            parts.append(part)
            most -= len(part)
        return b"".join(parts)
    finally:
        posix.close(fd)
