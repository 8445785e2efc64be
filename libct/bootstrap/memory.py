"""Giving memory back while a created container waits for its start."""

from __future__ import annotations

import ctypes
import os

from ..syscalls.core import bind

_MADV_DONTNEED = 4  # asm-generic/mman-common.h

_madvise = bind("madvise", ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)


def release_file_pages(proc: int) -> None:
    """Unmap the pages of the interpreter's files that were not written to.

    They are read again from the page cache when they are needed; that is, few
    of them: what is left to do is one write and execve.  Only mappings without
    a page of our own are touched, for dropping one that the dynamic linker has
    relocated would undo that.

    proc: a descriptor of the host's /proc.  Source: madvise(2), MADV_DONTNEED;
    proc_pid_smaps(5).
    """
    found = []
    start = size = 0
    fd = os.open("self/smaps", os.O_RDONLY | os.O_CLOEXEC, dir_fd=proc)
    with open(fd, "rb") as smaps:
        for line in smaps:
            words = line.split()
            if words[0] == b"Anonymous:":
                if size and words[1] == b"0":
                    found.append((start, size))
            elif not words[0].endswith(b":"):
                first, _, end = words[0].partition(b"-")
                start, size = int(first, 16), 0
                # Private, not writable, of a file.
                if len(words) > 5 and words[1][1:2] == b"-" and words[5].startswith(b"/"):
                    size = int(end, 16) - start
    # All at once, for whatever runs between takes pages back.
    for start, size in found:
        _madvise(start, size, _MADV_DONTNEED)
